BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0007');
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
	text TEXT NOT NULL, task TEXT DEFAULT '' NOT NULL, deleted_at TEXT DEFAULT '' NOT NULL, note TEXT DEFAULT '' NOT NULL, visitor TEXT DEFAULT '' NOT NULL, acceptance_histogram TEXT, origin TEXT DEFAULT 'unknown' NOT NULL, added_at TEXT DEFAULT '' NOT NULL, 
	CONSTRAINT pk_runs PRIMARY KEY (id), 
	CONSTRAINT fk_runs_group_id FOREIGN KEY(group_id) REFERENCES groups (id) ON DELETE SET NULL, 
	CONSTRAINT fk_runs_baseline_run_id FOREIGN KEY(baseline_run_id) REFERENCES runs (id) ON DELETE SET NULL
);
INSERT INTO "runs" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','2026-11-30T02:42:35.721880+00:00','finished','prompt_lookup','exact','story','cpu','bfloat16',0.0,0,12,'length','',5,15,7,12,5,22,11921813,10558050327,305837,17934349,1441569,291705,10538076867,NULL,NULL,'vm:24553:1796041760.19','2026-11-30T12:29:22.533232+00:00','Repeat this text: the red fox, the red fox, the red fox.','{"depth":15,"max_ngram":3,"min_ngram":1,"tie":"recent","is_whole":false,"fallback":"none"}','{"max_new_tokens":12,"temperature":0.0,"top_k":0,"top_p":1.0,"repetition_penalty":1.0,"seed":0,"timeout_s":900.0,"rule":"auto","has_detail":true,"stop_strings":[]}','{"processor":"AMD EPYC","instructions":"avx512_bf16","num_threads":2,"torch":"2.13.0+cpu","transformers":"5.23.0","python":"3.11.7"}',NULL,'The red fox, the red fox, the red fox,','','','','','[0,1,0,2,0,0,0,0]','measured','2026-11-30T02:42:35.721880+00:00');
CREATE TABLE steps (
	run_id TEXT NOT NULL, 
	seq BIGINT NOT NULL, 
	payload TEXT NOT NULL, 
	CONSTRAINT pk_steps PRIMARY KEY (run_id, seq), 
	CONSTRAINT fk_steps_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',0,'{"session_id":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","created_at":"2026-11-30T02:42:35.721880+00:00","prompt":"Repeat this text: the red fox, the red fox, the red fox.","prompt_ids":[1,52,530,71,289,636,769,958,28,264,959,1314,14,264,959,1314,14,264,959,1314,16,2],"method":"prompt_lookup","method_options":{"depth":15,"max_ngram":3,"min_ngram":1,"tie":"recent","is_whole":false,"fallback":"none"},"guarantee":"exact","model":"story","device":"cpu","dtype":"bfloat16","config":{"max_new_tokens":12,"temperature":0.0,"top_k":0,"top_p":1.0,"repetition_penalty":1.0,"seed":0,"timeout_s":900.0,"rule":"auto","has_detail":true,"stop_strings":[]},"machine":{"processor":"AMD EPYC","instructions":"avx512_bf16","num_threads":2,"torch":"2.13.0+cpu","transformers":"5.23.0","python":"3.11.7"},"schema_version":2,"kind":"session_started"}');
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',1,'{"num_prompt_tokens":22,"prefill_ns":11921813,"kv_length":21,"kind":"prefilled"}');
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',2,'{"step":0,"root_id":2,"nodes":[],"path":[],"emitted":[{"token_id":388,"text":"The","origin":"plain","node":null,"target_prob":0.6269963187028709,"alternatives":[{"token_id":388,"text":"The","probability":0.6269963187028709},{"token_id":4,"text":"\"","probability":0.07781881819292327},{"token_id":783,"text":"In","probability":0.06543159791291943},{"token_id":1584,"text":"This","probability":0.024335247527432696},{"token_id":474,"text":"Once","probability":0.021278397159100536}]}],"draft_ns":56014,"target_ns":2882494,"verify_ns":311174,"commit_ns":38848,"host_ns":10536511695,"kv_length":22,"proposed_by":null,"judged":[],"kind":"stepped"}');
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',3,'{"step":1,"root_id":388,"nodes":[],"path":[],"emitted":[{"token_id":959,"text":" red","origin":"plain","node":null,"target_prob":0.15442589752500385,"alternatives":[{"token_id":959,"text":" red","probability":0.15442589752500385},{"token_id":1314,"text":" fox","probability":0.09088907047945544},{"token_id":1200,"text":" green","probability":0.08635749805584042},{"token_id":1178,"text":" blue","probability":0.052966383478598826},{"token_id":981,"text":" bear","probability":0.04394290996821789}]}],"draft_ns":43134,"target_ns":3010776,"verify_ns":224425,"commit_ns":37155,"host_ns":308169,"kv_length":23,"proposed_by":null,"judged":[],"kind":"stepped"}');
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',4,'{"step":2,"root_id":959,"nodes":[{"token_id":1314,"text":" fox","parent":-1,"status":"accepted","target_prob":0.9449598977201775,"draft_prob":null},{"token_id":16,"text":".","parent":0,"status":"rejected","target_prob":0.0002970872958647954,"draft_prob":null},{"token_id":2,"text":"<|assistant|>","parent":1,"status":"unreached","target_prob":0.00016002520195880428,"draft_prob":null},{"token_id":388,"text":"The","parent":2,"status":"unreached","target_prob":0.7673226726738551,"draft_prob":null},{"token_id":959,"text":" red","parent":3,"status":"unreached","target_prob":0.4465638891145591,"draft_prob":null}],"path":[0],"emitted":[{"token_id":1314,"text":" fox","origin":"accepted","node":0,"target_prob":0.9449598977201775,"alternatives":[{"token_id":1314,"text":" fox","probability":0.9449598977201775},{"token_id":981,"text":" bear","probability":0.045290641504276544},{"token_id":951,"text":" rabbit","probability":0.003465402993198629},{"token_id":2225,"text":" wolf","probability":0.0005018763307478825},{"token_id":2914,"text":" hare","probability":0.0004120412217762962}]},{"token_id":14,"text":",","origin":"correction","node":null,"target_prob":0.9667852133488231,"alternatives":[{"token_id":14,"text":",","probability":0.9667852133488231},{"token_id":272,"text":" and","probability":0.009508602474061297},{"token_id":290,"text":" was","probability":0.006370922627782784},{"token_id":0,"text":"<|end|>","probability":0.004386938573262412},{"token_id":201,"text":"\n","probability":0.0017405186263774824}]}],"draft_ns":64366,"target_ns":4441237,"verify_ns":269862,"commit_ns":141891,"host_ns":497101,"kv_length":25,"proposed_by":null,"judged":[],"kind":"stepped"}');
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',5,'{"step":3,"root_id":14,"nodes":[{"token_id":264,"text":" the","parent":-1,"status":"accepted","target_prob":0.7477246228047532,"draft_prob":null},{"token_id":959,"text":" red","parent":0,"status":"accepted","target_prob":0.8855369713488161,"draft_prob":null},{"token_id":1314,"text":" fox","parent":1,"status":"accepted","target_prob":0.9438059387173556,"draft_prob":null},{"token_id":16,"text":".","parent":2,"status":"rejected","target_prob":0.0003512036928499789,"draft_prob":null},{"token_id":2,"text":"<|assistant|>","parent":3,"status":"unreached","target_prob":0.00014232106990563908,"draft_prob":null},{"token_id":388,"text":"The","parent":4,"status":"unreached","target_prob":0.907283328697223,"draft_prob":null},{"token_id":959,"text":" red","parent":5,"status":"unreached","target_prob":0.5954542234550352,"draft_prob":null}],"path":[0,1,2],"emitted":[{"token_id":264,"text":" the","origin":"accepted","node":0,"target_prob":0.7477246228047532,"alternatives":[{"token_id":264,"text":" the","probability":0.7477246228047532},{"token_id":261,"text":" a","probability":0.14286887630523565},{"token_id":534,"text":" who","probability":0.029486314438144194},{"token_id":337,"text":" his","probability":0.006192414058197957},{"token_id":272,"text":" and","probability":0.005726014617317236}]},{"token_id":959,"text":" red","origin":"accepted","node":1,"target_prob":0.8855369713488161,"alternatives":[{"token_id":959,"text":" red","probability":0.8855369713488161},{"token_id":1178,"text":" blue","probability":0.03211344794544081},{"token_id":1200,"text":" green","probability":0.016164095445390866},{"token_id":1968,"text":" black","probability":0.009981543539324485},{"token_id":2528,"text":" brown","probability":0.008266349455182119}]},{"token_id":1314,"text":" fox","origin":"accepted","node":2,"target_prob":0.9438059387173556,"alternatives":[{"token_id":1314,"text":" fox","probability":0.9438059387173556},{"token_id":981,"text":" bear","probability":0.04438147634493536},{"token_id":951,"text":" rabbit","probability":0.0058191238270258435},{"token_id":1140,"text":" mouse","probability":0.0009187648354551949},{"token_id":2225,"text":" wolf","probability":0.0006405439066688057}]},{"token_id":14,"text":",","origin":"correction","node":null,"target_prob":0.9970506482479212,"alternatives":[{"token_id":14,"text":",","probability":0.9970506482479212},{"token_id":272,"text":" and","probability":0.00129354363291017},{"token_id":16,"text":".","probability":0.0003512036928499789},{"token_id":358,"text":"''s","probability":0.00013496436827645288},{"token_id":547,"text":" loved","probability":0.00012968075415371817}]}],"draft_ns":74962,"target_ns":4521366,"verify_ns":391834,"commit_ns":40551,"host_ns":404723,"kv_length":29,"proposed_by":null,"judged":[],"kind":"stepped"}');
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',6,'{"step":4,"root_id":14,"nodes":[{"token_id":264,"text":" the","parent":-1,"status":"accepted","target_prob":0.6805994536692477,"draft_prob":null},{"token_id":959,"text":" red","parent":0,"status":"accepted","target_prob":0.8715753460732192,"draft_prob":null},{"token_id":1314,"text":" fox","parent":1,"status":"accepted","target_prob":0.9657864309948138,"draft_prob":null}],"path":[0,1,2],"emitted":[{"token_id":264,"text":" the","origin":"accepted","node":0,"target_prob":0.6805994536692477,"alternatives":[{"token_id":264,"text":" the","probability":0.6805994536692477},{"token_id":272,"text":" and","probability":0.16360437323668187},{"token_id":261,"text":" a","probability":0.03056617983265999},{"token_id":290,"text":" was","probability":0.01152866521803738},{"token_id":350,"text":" said","probability":0.008444930534691017}]},{"token_id":959,"text":" red","origin":"accepted","node":1,"target_prob":0.8715753460732192,"alternatives":[{"token_id":959,"text":" red","probability":0.8715753460732192},{"token_id":1178,"text":" blue","probability":0.023726557806405254},{"token_id":2528,"text":" brown","probability":0.017434140939795104},{"token_id":1200,"text":" green","probability":0.012707368090591198},{"token_id":1968,"text":" black","probability":0.012623638395530927}]},{"token_id":1314,"text":" fox","origin":"accepted","node":2,"target_prob":0.9657864309948138,"alternatives":[{"token_id":1314,"text":" fox","probability":0.9657864309948138},{"token_id":981,"text":" bear","probability":0.02533232409861921},{"token_id":951,"text":" rabbit","probability":0.0041512411174174065},{"token_id":1140,"text":" mouse","probability":0.0010137819948189287},{"token_id":2225,"text":" wolf","probability":0.0005355804568246398}]},{"token_id":14,"text":",","origin":"bonus","node":null,"target_prob":0.9847346305584148,"alternatives":[{"token_id":14,"text":",","probability":0.9847346305584148},{"token_id":16,"text":".","probability":0.009029110171091707},{"token_id":272,"text":" and","probability":0.0031671317644264667},{"token_id":547,"text":" loved","probability":0.00032747316789673265},{"token_id":358,"text":"''s","probability":0.00020309492147893563}]}],"draft_ns":67361,"target_ns":3078476,"verify_ns":244274,"commit_ns":33260,"host_ns":355179,"kv_length":33,"proposed_by":null,"judged":[],"kind":"stepped"}');
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',7,'{"reason":"length","counts":{"steps":5,"proposed":15,"accepted":7,"emitted":12,"target_passes":5},"decode_ns":10558050327,"message":"","memory":null,"kind":"session_finished"}');
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
CREATE INDEX ix_runs_browse ON runs (deleted_at, added_at, id, created_at, status, method, model, task, temperature, steps, proposed, accepted, emitted, target_passes, decode_ns, origin);
COMMIT;
