BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0003');
CREATE TABLE groups (
	id TEXT NOT NULL, 
	created_at TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	title TEXT NOT NULL, details TEXT DEFAULT '{}' NOT NULL, 
	CONSTRAINT pk_groups PRIMARY KEY (id)
);
CREATE TABLE runs (
	id TEXT NOT NULL, 
	created_at TEXT NOT NULL, 
	status TEXT NOT NULL, 
	method TEXT NOT NULL, 
	guarantee TEXT NOT NULL, 
	model TEXT NOT NULL, 
	device TEXT NOT NULL, 
	dtype TEXT NOT NULL, 
	temperature DOUBLE, 
	seed BIGINT, 
	max_new_tokens BIGINT, 
	reason TEXT, 
	message TEXT NOT NULL, 
	steps BIGINT NOT NULL, 
	proposed BIGINT NOT NULL, 
	accepted BIGINT NOT NULL, 
	emitted BIGINT NOT NULL, 
	target_passes BIGINT NOT NULL, 
	num_prompt_tokens BIGINT NOT NULL, 
	prefill_ns BIGINT, 
	decode_ns BIGINT, 
	draft_ns BIGINT NOT NULL, 
	target_ns BIGINT NOT NULL, 
	verify_ns BIGINT NOT NULL, 
	commit_ns BIGINT NOT NULL, 
	host_ns BIGINT NOT NULL, 
	group_id TEXT, 
	baseline_run_id TEXT, 
	owner TEXT NOT NULL, 
	heartbeat_at TEXT NOT NULL, 
	prompt TEXT NOT NULL, 
	method_options TEXT NOT NULL, 
	config TEXT NOT NULL, 
	machine TEXT NOT NULL, 
	audit TEXT, 
	text TEXT NOT NULL, task TEXT DEFAULT '' NOT NULL, deleted_at TEXT DEFAULT '' NOT NULL, note TEXT DEFAULT '' NOT NULL, 
	CONSTRAINT pk_runs PRIMARY KEY (id), 
	CONSTRAINT fk_runs_group_id FOREIGN KEY(group_id) REFERENCES groups (id) ON DELETE SET NULL, 
	CONSTRAINT fk_runs_baseline_run_id FOREIGN KEY(baseline_run_id) REFERENCES runs (id) ON DELETE SET NULL
);
INSERT INTO "runs" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','2026-11-30T02:26:46.750250+00:00','finished','prompt_lookup','exact','story','cpu','bfloat16',0.0,0,12,'length','',5,15,7,12,5,22,5390738740,15578908553,327928,14997845934,1868955,203062,578662674,NULL,NULL,'vm:12912:1796005538.95','2026-11-30T02:27:07.738422+00:00','Repeat this text: the red fox, the red fox, the red fox.','{"depth":15,"max_ngram":3,"min_ngram":1,"tie":"recent","is_whole":false,"fallback":"none"}','{"max_new_tokens":12,"temperature":0.0,"top_k":0,"top_p":1.0,"repetition_penalty":1.0,"seed":0,"timeout_s":60.0,"rule":"auto","has_detail":true,"stop_strings":[]}','{"processor":"AMD EPYC","instructions":"avx512_bf16","num_threads":2,"torch":"2.13.0+cpu","transformers":"5.23.0","python":"3.11.7"}',NULL,'The red fox, the red fox, the red fox,','','','');
CREATE TABLE steps (
	run_id TEXT NOT NULL, 
	seq BIGINT NOT NULL, 
	payload TEXT NOT NULL, 
	CONSTRAINT pk_steps PRIMARY KEY (run_id, seq), 
	CONSTRAINT fk_steps_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',0,'{"session_id":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","created_at":"2026-11-30T02:26:46.750250+00:00","prompt":"Repeat this text: the red fox, the red fox, the red fox.","prompt_ids":[1,52,530,71,289,636,769,958,28,264,959,1314,14,264,959,1314,14,264,959,1314,16,2],"method":"prompt_lookup","method_options":{"depth":15,"max_ngram":3,"min_ngram":1,"tie":"recent","is_whole":false,"fallback":"none"},"guarantee":"exact","model":"story","device":"cpu","dtype":"bfloat16","config":{"max_new_tokens":12,"temperature":0.0,"top_k":0,"top_p":1.0,"repetition_penalty":1.0,"seed":0,"timeout_s":60.0,"rule":"auto","has_detail":true,"stop_strings":[]},"machine":{"processor":"AMD EPYC","instructions":"avx512_bf16","num_threads":2,"torch":"2.13.0+cpu","transformers":"5.23.0","python":"3.11.7"},"schema_version":1,"kind":"session_started"}');
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',1,'{"num_prompt_tokens":22,"prefill_ns":5390738740,"kv_length":21,"kind":"prefilled"}');
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',2,'{"step":0,"root_id":2,"nodes":[],"path":[],"emitted":[{"token_id":388,"text":"The","origin":"plain","node":null,"target_prob":0.6234300136566162,"alternatives":[{"token_id":388,"text":"The","probability":0.6234300136566162},{"token_id":4,"text":"\"","probability":0.07926023751497269},{"token_id":783,"text":"In","probability":0.06570903956890106},{"token_id":1584,"text":"This","probability":0.025732029229402542},{"token_id":474,"text":"Once","probability":0.021332601085305214}]}],"draft_ns":45658,"target_ns":4107174802,"verify_ns":417402,"commit_ns":40109,"host_ns":50292924,"kv_length":22,"proposed_by":null,"kind":"stepped"}');
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',3,'{"step":1,"root_id":388,"nodes":[],"path":[],"emitted":[{"token_id":959,"text":" red","origin":"plain","node":null,"target_prob":0.16416993737220764,"alternatives":[{"token_id":959,"text":" red","probability":0.16416993737220764},{"token_id":1200,"text":" green","probability":0.08787383884191513},{"token_id":1314,"text":" fox","probability":0.08254982531070709},{"token_id":1178,"text":" blue","probability":0.05499004200100899},{"token_id":981,"text":" bear","probability":0.04150865972042084}]}],"draft_ns":36344,"target_ns":2923695551,"verify_ns":277132,"commit_ns":41242,"host_ns":55862582,"kv_length":23,"proposed_by":null,"kind":"stepped"}');
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',4,'{"step":2,"root_id":959,"nodes":[{"token_id":1314,"text":" fox","parent":-1,"status":"accepted","target_prob":0.9396358132362366,"draft_prob":null},{"token_id":16,"text":".","parent":0,"status":"rejected","target_prob":0.0003041219024453312,"draft_prob":null},{"token_id":2,"text":"<|assistant|>","parent":1,"status":"unreached","target_prob":0.00015949414228089154,"draft_prob":null},{"token_id":388,"text":"The","parent":2,"status":"unreached","target_prob":0.774233877658844,"draft_prob":null},{"token_id":959,"text":" red","parent":3,"status":"unreached","target_prob":0.4542102813720703,"draft_prob":null}],"path":[0],"emitted":[{"token_id":1314,"text":" fox","origin":"accepted","node":0,"target_prob":0.9396358132362366,"alternatives":[{"token_id":1314,"text":" fox","probability":0.9396358132362366},{"token_id":981,"text":" bear","probability":0.0497988723218441},{"token_id":951,"text":" rabbit","probability":0.00384007696993649},{"token_id":2225,"text":" wolf","probability":0.0005361948278732598},{"token_id":2914,"text":" hare","probability":0.00044452116708271205}]},{"token_id":14,"text":",","origin":"correction","node":null,"target_prob":0.9650437235832214,"alternatives":[{"token_id":14,"text":",","probability":0.9650437235832214},{"token_id":272,"text":" and","probability":0.010071135126054287},{"token_id":290,"text":" was","probability":0.006921783089637756},{"token_id":0,"text":"<|end|>","probability":0.0044690389186143875},{"token_id":201,"text":"\n","probability":0.0017501008696854115}]}],"draft_ns":72818,"target_ns":371786741,"verify_ns":398244,"commit_ns":41001,"host_ns":99903280,"kv_length":25,"proposed_by":null,"kind":"stepped"}');
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',5,'{"step":3,"root_id":14,"nodes":[{"token_id":264,"text":" the","parent":-1,"status":"accepted","target_prob":0.7410640716552734,"draft_prob":null},{"token_id":959,"text":" red","parent":0,"status":"accepted","target_prob":0.8847476243972778,"draft_prob":null},{"token_id":1314,"text":" fox","parent":1,"status":"accepted","target_prob":0.9469758868217468,"draft_prob":null},{"token_id":16,"text":".","parent":2,"status":"rejected","target_prob":0.00035606007440946996,"draft_prob":null},{"token_id":2,"text":"<|assistant|>","parent":3,"status":"unreached","target_prob":0.00014671802637167275,"draft_prob":null},{"token_id":388,"text":"The","parent":4,"status":"unreached","target_prob":0.9128969311714172,"draft_prob":null},{"token_id":959,"text":" red","parent":5,"status":"unreached","target_prob":0.5987019538879395,"draft_prob":null}],"path":[0,1,2],"emitted":[{"token_id":264,"text":" the","origin":"accepted","node":0,"target_prob":0.7410640716552734,"alternatives":[{"token_id":264,"text":" the","probability":0.7410640716552734},{"token_id":261,"text":" a","probability":0.1459241658449173},{"token_id":534,"text":" who","probability":0.030587365850806236},{"token_id":337,"text":" his","probability":0.006614981684833765},{"token_id":272,"text":" and","probability":0.006023009307682514}]},{"token_id":959,"text":" red","origin":"accepted","node":1,"target_prob":0.8847476243972778,"alternatives":[{"token_id":959,"text":" red","probability":0.8847476243972778},{"token_id":1178,"text":" blue","probability":0.03222693130373955},{"token_id":1200,"text":" green","probability":0.016204718500375748},{"token_id":1968,"text":" black","probability":0.00982865784317255},{"token_id":2528,"text":" brown","probability":0.008406897075474262}]},{"token_id":1314,"text":" fox","origin":"accepted","node":2,"target_prob":0.9469758868217468,"alternatives":[{"token_id":1314,"text":" fox","probability":0.9469758868217468},{"token_id":981,"text":" bear","probability":0.041607216000556946},{"token_id":951,"text":" rabbit","probability":0.005630924832075834},{"token_id":1140,"text":" mouse","probability":0.0009192231809720397},{"token_id":2225,"text":" wolf","probability":0.000612334581092}]},{"token_id":14,"text":",","origin":"correction","node":null,"target_prob":0.9970930814743042,"alternatives":[{"token_id":14,"text":",","probability":0.9970930814743042},{"token_id":272,"text":" and","probability":0.0012427716283127666},{"token_id":16,"text":".","probability":0.00035606007440946996},{"token_id":358,"text":"''s","probability":0.0001394351274939254},{"token_id":0,"text":"<|end|>","probability":0.00012695712212007493}]}],"draft_ns":90184,"target_ns":4355482492,"verify_ns":406165,"commit_ns":38297,"host_ns":167758761,"kv_length":29,"proposed_by":null,"kind":"stepped"}');
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',6,'{"step":4,"root_id":14,"nodes":[{"token_id":264,"text":" the","parent":-1,"status":"accepted","target_prob":0.691685140132904,"draft_prob":null},{"token_id":959,"text":" red","parent":0,"status":"accepted","target_prob":0.8713421821594238,"draft_prob":null},{"token_id":1314,"text":" fox","parent":1,"status":"accepted","target_prob":0.9653341770172119,"draft_prob":null}],"path":[0,1,2],"emitted":[{"token_id":264,"text":" the","origin":"accepted","node":0,"target_prob":0.691685140132904,"alternatives":[{"token_id":264,"text":" the","probability":0.691685140132904},{"token_id":272,"text":" and","probability":0.15433582663536072},{"token_id":261,"text":" a","probability":0.030390525236725807},{"token_id":290,"text":" was","probability":0.011180048808455467},{"token_id":534,"text":" who","probability":0.008439143188297749}]},{"token_id":959,"text":" red","origin":"accepted","node":1,"target_prob":0.8713421821594238,"alternatives":[{"token_id":959,"text":" red","probability":0.8713421821594238},{"token_id":1178,"text":" blue","probability":0.02395758032798767},{"token_id":2528,"text":" brown","probability":0.017527740448713303},{"token_id":1968,"text":" black","probability":0.012823568657040596},{"token_id":1200,"text":" green","probability":0.012823568657040596}]},{"token_id":1314,"text":" fox","origin":"accepted","node":2,"target_prob":0.9653341770172119,"alternatives":[{"token_id":1314,"text":" fox","probability":0.9653341770172119},{"token_id":981,"text":" bear","probability":0.025725284591317177},{"token_id":951,"text":" rabbit","probability":0.004199537448585033},{"token_id":1140,"text":" mouse","probability":0.0010618092492222786},{"token_id":2225,"text":" wolf","probability":0.0005339112249203026}]},{"token_id":14,"text":",","origin":"bonus","node":null,"target_prob":0.985029399394989,"alternatives":[{"token_id":14,"text":",","probability":0.985029399394989},{"token_id":16,"text":".","probability":0.009071806445717812},{"token_id":272,"text":" and","probability":0.0029451847076416016},{"token_id":547,"text":" loved","probability":0.00031042014597915113},{"token_id":358,"text":"''s","probability":0.00019425599020905793}]}],"draft_ns":82924,"target_ns":3239706348,"verify_ns":370012,"commit_ns":42413,"host_ns":204845127,"kv_length":33,"proposed_by":null,"kind":"stepped"}');
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',7,'{"reason":"length","counts":{"steps":5,"proposed":15,"accepted":7,"emitted":12,"target_passes":5},"decode_ns":15578908553,"message":"","kind":"session_finished"}');
CREATE TABLE tags (
	run_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	CONSTRAINT pk_tags PRIMARY KEY (run_id, name), 
	CONSTRAINT fk_tags_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
CREATE INDEX ix_runs_group_id ON runs (group_id);
CREATE INDEX ix_runs_baseline_run_id ON runs (baseline_run_id);
CREATE INDEX ix_tags_name ON tags (name);
CREATE INDEX ix_groups_created_at_id ON groups (created_at, id);
CREATE INDEX ix_runs_browse ON runs (deleted_at, created_at, id, status, method, model, task, temperature, steps, proposed, accepted, emitted, target_passes, decode_ns);
COMMIT;
