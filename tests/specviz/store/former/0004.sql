BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0004');
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
	text TEXT NOT NULL, task TEXT DEFAULT '' NOT NULL, deleted_at TEXT DEFAULT '' NOT NULL, note TEXT DEFAULT '' NOT NULL, visitor TEXT DEFAULT '' NOT NULL, 
	CONSTRAINT pk_runs PRIMARY KEY (id), 
	CONSTRAINT fk_runs_group_id FOREIGN KEY(group_id) REFERENCES groups (id) ON DELETE SET NULL, 
	CONSTRAINT fk_runs_baseline_run_id FOREIGN KEY(baseline_run_id) REFERENCES runs (id) ON DELETE SET NULL
);
INSERT INTO "runs" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','2026-11-30T02:42:08.895750+00:00','finished','prompt_lookup','exact','story','cpu','bfloat16',0.0,0,12,'length','',5,15,7,12,5,22,213420855,13872981,259246,10576287,910888,164004,1962556,NULL,NULL,'vm:21973:1796006523.60','2026-11-30T02:42:09.126054+00:00','Repeat this text: the red fox, the red fox, the red fox.','{"depth":15,"max_ngram":3,"min_ngram":1,"tie":"recent","is_whole":false,"fallback":"none"}','{"max_new_tokens":12,"temperature":0.0,"top_k":0,"top_p":1.0,"repetition_penalty":1.0,"seed":0,"timeout_s":900.0,"rule":"auto","has_detail":true,"stop_strings":[]}','{"processor":"AMD EPYC","instructions":"avx512_bf16","num_threads":2,"torch":"2.13.0+cpu","transformers":"5.23.0","python":"3.11.7"}',NULL,'The red fox, the red fox, the red fox,','','','','');
CREATE TABLE steps (
	run_id TEXT NOT NULL, 
	seq BIGINT NOT NULL, 
	payload TEXT NOT NULL, 
	CONSTRAINT pk_steps PRIMARY KEY (run_id, seq), 
	CONSTRAINT fk_steps_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',0,'{"session_id":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","created_at":"2026-11-30T02:42:08.895750+00:00","prompt":"Repeat this text: the red fox, the red fox, the red fox.","prompt_ids":[1,52,530,71,289,636,769,958,28,264,959,1314,14,264,959,1314,14,264,959,1314,16,2],"method":"prompt_lookup","method_options":{"depth":15,"max_ngram":3,"min_ngram":1,"tie":"recent","is_whole":false,"fallback":"none"},"guarantee":"exact","model":"story","device":"cpu","dtype":"bfloat16","config":{"max_new_tokens":12,"temperature":0.0,"top_k":0,"top_p":1.0,"repetition_penalty":1.0,"seed":0,"timeout_s":900.0,"rule":"auto","has_detail":true,"stop_strings":[]},"machine":{"processor":"AMD EPYC","instructions":"avx512_bf16","num_threads":2,"torch":"2.13.0+cpu","transformers":"5.23.0","python":"3.11.7"},"schema_version":1,"kind":"session_started"}');
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',1,'{"num_prompt_tokens":22,"prefill_ns":213420855,"kv_length":21,"kind":"prefilled"}');
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',2,'{"step":0,"root_id":2,"nodes":[],"path":[],"emitted":[{"token_id":388,"text":"The","origin":"plain","node":null,"target_prob":0.6269962787628174,"alternatives":[{"token_id":388,"text":"The","probability":0.6269962787628174},{"token_id":4,"text":"\"","probability":0.07781881839036942},{"token_id":783,"text":"In","probability":0.06543159484863281},{"token_id":1584,"text":"This","probability":0.02433524653315544},{"token_id":474,"text":"Once","probability":0.021278396248817444}]}],"draft_ns":39949,"target_ns":1979279,"verify_ns":258946,"commit_ns":41021,"host_ns":461208,"kv_length":22,"proposed_by":null,"kind":"stepped"}');
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',3,'{"step":1,"root_id":388,"nodes":[],"path":[],"emitted":[{"token_id":959,"text":" red","origin":"plain","node":null,"target_prob":0.15442584455013275,"alternatives":[{"token_id":959,"text":" red","probability":0.15442584455013275},{"token_id":1314,"text":" fox","probability":0.09088903665542603},{"token_id":1200,"text":" green","probability":0.0863574743270874},{"token_id":1178,"text":" blue","probability":0.052966367453336716},{"token_id":981,"text":" bear","probability":0.0439428985118866}]}],"draft_ns":27932,"target_ns":1659552,"verify_ns":123775,"commit_ns":33099,"host_ns":281019,"kv_length":23,"proposed_by":null,"kind":"stepped"}');
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',4,'{"step":2,"root_id":959,"nodes":[{"token_id":1314,"text":" fox","parent":-1,"status":"accepted","target_prob":0.9449605941772461,"draft_prob":null},{"token_id":16,"text":".","parent":0,"status":"rejected","target_prob":0.00029708779766224325,"draft_prob":null},{"token_id":2,"text":"<|assistant|>","parent":1,"status":"unreached","target_prob":0.00016002535994630307,"draft_prob":null},{"token_id":388,"text":"The","parent":2,"status":"unreached","target_prob":0.7673231959342957,"draft_prob":null},{"token_id":959,"text":" red","parent":3,"status":"unreached","target_prob":0.4465637803077698,"draft_prob":null}],"path":[0],"emitted":[{"token_id":1314,"text":" fox","origin":"accepted","node":0,"target_prob":0.9449605941772461,"alternatives":[{"token_id":1314,"text":" fox","probability":0.9449605941772461},{"token_id":981,"text":" bear","probability":0.04529067501425743},{"token_id":951,"text":" rabbit","probability":0.0034654054325073957},{"token_id":2225,"text":" wolf","probability":0.0005018766969442368},{"token_id":2914,"text":" hare","probability":0.0004120415251236409}]},{"token_id":14,"text":",","origin":"correction","node":null,"target_prob":0.966786801815033,"alternatives":[{"token_id":14,"text":",","probability":0.966786801815033},{"token_id":272,"text":" and","probability":0.009508617222309113},{"token_id":290,"text":" was","probability":0.006370933260768652},{"token_id":0,"text":"<|end|>","probability":0.004386946093291044},{"token_id":201,"text":"\n","probability":0.0017405214020982385}]}],"draft_ns":63845,"target_ns":2375339,"verify_ns":159688,"commit_ns":27651,"host_ns":392736,"kv_length":25,"proposed_by":null,"kind":"stepped"}');
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',5,'{"step":3,"root_id":14,"nodes":[{"token_id":264,"text":" the","parent":-1,"status":"accepted","target_prob":0.7477250099182129,"draft_prob":null},{"token_id":959,"text":" red","parent":0,"status":"accepted","target_prob":0.8855375051498413,"draft_prob":null},{"token_id":1314,"text":" fox","parent":1,"status":"accepted","target_prob":0.943807065486908,"draft_prob":null},{"token_id":16,"text":".","parent":2,"status":"rejected","target_prob":0.0003512044495437294,"draft_prob":null},{"token_id":2,"text":"<|assistant|>","parent":3,"status":"unreached","target_prob":0.00014232115063350648,"draft_prob":null},{"token_id":388,"text":"The","parent":4,"status":"unreached","target_prob":0.9072840809822083,"draft_prob":null},{"token_id":959,"text":" red","parent":5,"status":"unreached","target_prob":0.5954545140266418,"draft_prob":null}],"path":[0,1,2],"emitted":[{"token_id":264,"text":" the","origin":"accepted","node":0,"target_prob":0.7477250099182129,"alternatives":[{"token_id":264,"text":" the","probability":0.7477250099182129},{"token_id":261,"text":" a","probability":0.14286895096302032},{"token_id":534,"text":" who","probability":0.02948632836341858},{"token_id":337,"text":" his","probability":0.00619241688400507},{"token_id":272,"text":" and","probability":0.005726017523556948}]},{"token_id":959,"text":" red","origin":"accepted","node":1,"target_prob":0.8855375051498413,"alternatives":[{"token_id":959,"text":" red","probability":0.8855375051498413},{"token_id":1178,"text":" blue","probability":0.032113466411828995},{"token_id":1200,"text":" green","probability":0.016164105385541916},{"token_id":1968,"text":" black","probability":0.009981549344956875},{"token_id":2528,"text":" brown","probability":0.008266353979706764}]},{"token_id":1314,"text":" fox","origin":"accepted","node":2,"target_prob":0.943807065486908,"alternatives":[{"token_id":1314,"text":" fox","probability":0.943807065486908},{"token_id":981,"text":" bear","probability":0.044381532818078995},{"token_id":951,"text":" rabbit","probability":0.005819130688905716},{"token_id":1140,"text":" mouse","probability":0.0009187659015879035},{"token_id":2225,"text":" wolf","probability":0.0006405446329154074}]},{"token_id":14,"text":",","origin":"correction","node":null,"target_prob":0.997052788734436,"alternatives":[{"token_id":14,"text":",","probability":0.997052788734436},{"token_id":272,"text":" and","probability":0.0012935464037582278},{"token_id":16,"text":".","probability":0.0003512044495437294},{"token_id":358,"text":"''s","probability":0.00013496466272044927},{"token_id":547,"text":" loved","probability":0.000129681036924012}]}],"draft_ns":62854,"target_ns":2701995,"verify_ns":213008,"commit_ns":33490,"host_ns":441227,"kv_length":29,"proposed_by":null,"kind":"stepped"}');
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',6,'{"step":4,"root_id":14,"nodes":[{"token_id":264,"text":" the","parent":-1,"status":"accepted","target_prob":0.6805989742279053,"draft_prob":null},{"token_id":959,"text":" red","parent":0,"status":"accepted","target_prob":0.871575653553009,"draft_prob":null},{"token_id":1314,"text":" fox","parent":1,"status":"accepted","target_prob":0.9657874703407288,"draft_prob":null}],"path":[0,1,2],"emitted":[{"token_id":264,"text":" the","origin":"accepted","node":0,"target_prob":0.6805989742279053,"alternatives":[{"token_id":264,"text":" the","probability":0.6805989742279053},{"token_id":272,"text":" and","probability":0.1636042594909668},{"token_id":261,"text":" a","probability":0.030566157773137093},{"token_id":290,"text":" was","probability":0.01152865681797266},{"token_id":350,"text":" said","probability":0.008444923907518387}]},{"token_id":959,"text":" red","origin":"accepted","node":1,"target_prob":0.871575653553009,"alternatives":[{"token_id":959,"text":" red","probability":0.871575653553009},{"token_id":1178,"text":" blue","probability":0.0237265657633543},{"token_id":2528,"text":" brown","probability":0.017434148117899895},{"token_id":1200,"text":" green","probability":0.01270737312734127},{"token_id":1968,"text":" black","probability":0.01262364350259304}]},{"token_id":1314,"text":" fox","origin":"accepted","node":2,"target_prob":0.9657874703407288,"alternatives":[{"token_id":1314,"text":" fox","probability":0.9657874703407288},{"token_id":981,"text":" bear","probability":0.02533235214650631},{"token_id":951,"text":" rabbit","probability":0.004151245579123497},{"token_id":1140,"text":" mouse","probability":0.001013783155940473},{"token_id":2225,"text":" wolf","probability":0.0005355810280889273}]},{"token_id":14,"text":",","origin":"bonus","node":null,"target_prob":0.9847365021705627,"alternatives":[{"token_id":14,"text":",","probability":0.9847365021705627},{"token_id":16,"text":".","probability":0.009029126726090908},{"token_id":272,"text":" and","probability":0.003167137736454606},{"token_id":547,"text":" loved","probability":0.0003274737682659179},{"token_id":358,"text":"''s","probability":0.0002030953037319705}]}],"draft_ns":64666,"target_ns":1860122,"verify_ns":155471,"commit_ns":28743,"host_ns":386366,"kv_length":33,"proposed_by":null,"kind":"stepped"}');
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',7,'{"reason":"length","counts":{"steps":5,"proposed":15,"accepted":7,"emitted":12,"target_passes":5},"decode_ns":13872981,"message":"","kind":"session_finished"}');
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
