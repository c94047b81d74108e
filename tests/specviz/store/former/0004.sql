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
INSERT INTO "runs" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','2026-11-30T02:28:32.707730+00:00','stopped','prompt_lookup','exact','story','cpu','bfloat16',0.0,0,12,'timeout','',0,0,0,0,0,22,265708062121,0,0,0,0,0,0,NULL,NULL,'vm:13726:1796005644.31','2026-11-30T02:32:58.631960+00:00','Repeat this text: the red fox, the red fox, the red fox.','{"depth":15,"max_ngram":3,"min_ngram":1,"tie":"recent","is_whole":false,"fallback":"none"}','{"max_new_tokens":12,"temperature":0.0,"top_k":0,"top_p":1.0,"repetition_penalty":1.0,"seed":0,"timeout_s":60.0,"rule":"auto","has_detail":true,"stop_strings":[]}','{"processor":"AMD EPYC","instructions":"avx512_bf16","num_threads":2,"torch":"2.13.0+cpu","transformers":"5.23.0","python":"3.11.7"}',NULL,'','','','','');
CREATE TABLE steps (
	run_id TEXT NOT NULL, 
	seq BIGINT NOT NULL, 
	payload TEXT NOT NULL, 
	CONSTRAINT pk_steps PRIMARY KEY (run_id, seq), 
	CONSTRAINT fk_steps_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',0,'{"session_id":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","created_at":"2026-11-30T02:28:32.707730+00:00","prompt":"Repeat this text: the red fox, the red fox, the red fox.","prompt_ids":[1,52,530,71,289,636,769,958,28,264,959,1314,14,264,959,1314,14,264,959,1314,16,2],"method":"prompt_lookup","method_options":{"depth":15,"max_ngram":3,"min_ngram":1,"tie":"recent","is_whole":false,"fallback":"none"},"guarantee":"exact","model":"story","device":"cpu","dtype":"bfloat16","config":{"max_new_tokens":12,"temperature":0.0,"top_k":0,"top_p":1.0,"repetition_penalty":1.0,"seed":0,"timeout_s":60.0,"rule":"auto","has_detail":true,"stop_strings":[]},"machine":{"processor":"AMD EPYC","instructions":"avx512_bf16","num_threads":2,"torch":"2.13.0+cpu","transformers":"5.23.0","python":"3.11.7"},"schema_version":1,"kind":"session_started"}');
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',1,'{"num_prompt_tokens":22,"prefill_ns":265708062121,"kv_length":21,"kind":"prefilled"}');
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',2,'{"reason":"timeout","counts":{"steps":0,"proposed":0,"accepted":0,"emitted":0,"target_passes":0},"decode_ns":0,"message":"","kind":"session_finished"}');
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
