BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE groups (
	id TEXT NOT NULL, 
	created_at TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	title TEXT NOT NULL, 
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
	text TEXT NOT NULL, 
	CONSTRAINT pk_runs PRIMARY KEY (id), 
	CONSTRAINT fk_runs_group_id FOREIGN KEY(group_id) REFERENCES groups (id) ON DELETE SET NULL, 
	CONSTRAINT fk_runs_baseline_run_id FOREIGN KEY(baseline_run_id) REFERENCES runs (id) ON DELETE SET NULL
);
INSERT INTO "runs" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','2026-11-30T02:23:20.056745+00:00','finished','prompt_lookup','exact','story','cpu','bfloat16',0.0,0,12,'length','',5,15,7,12,5,22,4570696404,14155541750,26412263,13705627372,23137574,288721,400075820,NULL,NULL,'vm:11111:1796005341.84','2026-11-30T02:23:38.840748+00:00','Repeat this text: the red fox, the red fox, the red fox.','{"depth":10,"max_ngram":3,"min_ngram":1,"tie":"recent","is_whole":false,"fallback":"none"}','{"max_new_tokens":12,"temperature":0.0,"top_k":0,"top_p":1.0,"repetition_penalty":1.0,"seed":0,"timeout_s":60.0,"rule":"auto","has_detail":true,"stop_strings":[]}','{"processor":"AMD EPYC","instructions":"avx512_bf16","num_threads":2,"torch":"2.13.0+cpu","transformers":"5.23.0","python":"3.11.7"}',NULL,'The red fox, the red fox, the red fox,');
CREATE TABLE steps (
	run_id TEXT NOT NULL, 
	seq BIGINT NOT NULL, 
	payload TEXT NOT NULL, 
	CONSTRAINT pk_steps PRIMARY KEY (run_id, seq), 
	CONSTRAINT fk_steps_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',0,'{"session_id":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","created_at":"2026-11-30T02:23:20.056745+00:00","prompt":"Repeat this text: the red fox, the red fox, the red fox.","prompt_ids":[1,52,530,71,289,636,769,958,28,264,959,1314,14,264,959,1314,14,264,959,1314,16,2],"method":"prompt_lookup","method_options":{"depth":10,"max_ngram":3,"min_ngram":1,"tie":"recent","is_whole":false,"fallback":"none"},"guarantee":"exact","model":"story","device":"cpu","dtype":"bfloat16","config":{"max_new_tokens":12,"temperature":0.0,"top_k":0,"top_p":1.0,"repetition_penalty":1.0,"seed":0,"timeout_s":60.0,"rule":"auto","has_detail":true,"stop_strings":[]},"machine":{"processor":"AMD EPYC","instructions":"avx512_bf16","num_threads":2,"torch":"2.13.0+cpu","transformers":"5.23.0","python":"3.11.7"},"schema_version":1,"kind":"session_started"}');
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',1,'{"num_prompt_tokens":22,"prefill_ns":4570696404,"kv_length":21,"kind":"prefilled"}');
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',2,'{"step":0,"root_id":2,"nodes":[],"path":[],"emitted":[{"token_id":388,"text":"The","origin":"plain","node":null,"target_prob":0.33181461691856384,"alternatives":[{"token_id":388,"text":"The","probability":0.33181461691856384},{"token_id":783,"text":"In","probability":0.22805263102054596},{"token_id":474,"text":"Once","probability":0.20125573873519897},{"token_id":4,"text":"\"","probability":0.05766073614358902},{"token_id":404,"text":"One","probability":0.02258026786148548}]}],"draft_ns":41312,"target_ns":3463339895,"verify_ns":992609,"commit_ns":91256,"host_ns":59125714,"kv_length":22,"proposed_by":null,"kind":"stepped"}');
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',3,'{"step":1,"root_id":388,"nodes":[],"path":[],"emitted":[{"token_id":959,"text":" red","origin":"plain","node":null,"target_prob":0.29916584491729736,"alternatives":[{"token_id":959,"text":" red","probability":0.29916584491729736},{"token_id":1200,"text":" green","probability":0.10667086392641068},{"token_id":1178,"text":" blue","probability":0.09124042838811874},{"token_id":1617,"text":" colorful","probability":0.0296214297413826},{"token_id":2175,"text":" golden","probability":0.026140820235013962}]}],"draft_ns":38056,"target_ns":3227028104,"verify_ns":245205,"commit_ns":42364,"host_ns":204935,"kv_length":23,"proposed_by":null,"kind":"stepped"}');
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',4,'{"step":2,"root_id":959,"nodes":[{"token_id":1314,"text":" fox","parent":-1,"status":"accepted","target_prob":0.8721622824668884,"draft_prob":null},{"token_id":16,"text":".","parent":0,"status":"rejected","target_prob":0.0005139710265211761,"draft_prob":null},{"token_id":2,"text":"<|assistant|>","parent":1,"status":"unreached","target_prob":0.000715213012881577,"draft_prob":null},{"token_id":388,"text":"The","parent":2,"status":"unreached","target_prob":0.5644623637199402,"draft_prob":null},{"token_id":959,"text":" red","parent":3,"status":"unreached","target_prob":0.5957822203636169,"draft_prob":null}],"path":[0],"emitted":[{"token_id":1314,"text":" fox","origin":"accepted","node":0,"target_prob":0.8721622824668884,"alternatives":[{"token_id":1314,"text":" fox","probability":0.8721622824668884},{"token_id":981,"text":" bear","probability":0.0978538990020752},{"token_id":951,"text":" rabbit","probability":0.004038912709802389},{"token_id":2018,"text":" horse","probability":0.0016318683046847582},{"token_id":2642,"text":" guard","probability":0.0015816609375178814}]},{"token_id":14,"text":",","origin":"correction","node":null,"target_prob":0.5999891757965088,"alternatives":[{"token_id":14,"text":",","probability":0.5999891757965088},{"token_id":547,"text":" loved","probability":0.13387568295001984},{"token_id":290,"text":" was","probability":0.11098684370517731},{"token_id":272,"text":" and","probability":0.020530499517917633},{"token_id":363,"text":" had","probability":0.013255488127470016}]}],"draft_ns":26174679,"target_ns":3714267758,"verify_ns":494107,"commit_ns":51967,"host_ns":115563433,"kv_length":25,"proposed_by":null,"kind":"stepped"}');
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',5,'{"step":3,"root_id":14,"nodes":[{"token_id":264,"text":" the","parent":-1,"status":"accepted","target_prob":0.45176318287849426,"draft_prob":null},{"token_id":959,"text":" red","parent":0,"status":"accepted","target_prob":0.7141356468200684,"draft_prob":null},{"token_id":1314,"text":" fox","parent":1,"status":"accepted","target_prob":0.9132277965545654,"draft_prob":null},{"token_id":16,"text":".","parent":2,"status":"rejected","target_prob":0.001222284627147019,"draft_prob":null},{"token_id":2,"text":"<|assistant|>","parent":3,"status":"unreached","target_prob":0.0004664872831199318,"draft_prob":null},{"token_id":388,"text":"The","parent":4,"status":"unreached","target_prob":0.7669447660446167,"draft_prob":null},{"token_id":959,"text":" red","parent":5,"status":"unreached","target_prob":0.7199707627296448,"draft_prob":null}],"path":[0,1,2],"emitted":[{"token_id":264,"text":" the","origin":"accepted","node":0,"target_prob":0.45176318287849426,"alternatives":[{"token_id":264,"text":" the","probability":0.45176318287849426},{"token_id":261,"text":" a","probability":0.10730315744876862},{"token_id":534,"text":" who","probability":0.06928013265132904},{"token_id":336,"text":" with","probability":0.06113949790596962},{"token_id":1244,"text":" known","probability":0.034836236387491226}]},{"token_id":959,"text":" red","origin":"accepted","node":1,"target_prob":0.7141356468200684,"alternatives":[{"token_id":959,"text":" red","probability":0.7141356468200684},{"token_id":1178,"text":" blue","probability":0.07070900499820709},{"token_id":1200,"text":" green","probability":0.044248562306165695},{"token_id":2528,"text":" brown","probability":0.03446081653237343},{"token_id":2175,"text":" golden","probability":0.008989641442894936}]},{"token_id":1314,"text":" fox","origin":"accepted","node":2,"target_prob":0.9132277965545654,"alternatives":[{"token_id":1314,"text":" fox","probability":0.9132277965545654},{"token_id":981,"text":" bear","probability":0.058380696922540665},{"token_id":951,"text":" rabbit","probability":0.0024096593260765076},{"token_id":2642,"text":" guard","probability":0.0018189063994213939},{"token_id":2013,"text":" elephant","probability":0.0012501147575676441}]},{"token_id":14,"text":",","origin":"correction","node":null,"target_prob":0.9806560277938843,"alternatives":[{"token_id":14,"text":",","probability":0.9806560277938843},{"token_id":272,"text":" and","probability":0.004834229592233896},{"token_id":547,"text":" loved","probability":0.0035367978271096945},{"token_id":358,"text":"''s","probability":0.0023560153786092997},{"token_id":16,"text":".","probability":0.001222284627147019}]}],"draft_ns":78898,"target_ns":959181696,"verify_ns":21017114,"commit_ns":61722,"host_ns":129460439,"kv_length":29,"proposed_by":null,"kind":"stepped"}');
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',6,'{"step":4,"root_id":14,"nodes":[{"token_id":264,"text":" the","parent":-1,"status":"accepted","target_prob":0.39232462644577026,"draft_prob":null},{"token_id":959,"text":" red","parent":0,"status":"accepted","target_prob":0.6811060309410095,"draft_prob":null},{"token_id":1314,"text":" fox","parent":1,"status":"accepted","target_prob":0.9491341710090637,"draft_prob":null}],"path":[0,1,2],"emitted":[{"token_id":264,"text":" the","origin":"accepted","node":0,"target_prob":0.39232462644577026,"alternatives":[{"token_id":264,"text":" the","probability":0.39232462644577026},{"token_id":272,"text":" and","probability":0.099195197224617},{"token_id":290,"text":" was","probability":0.09614328294992447},{"token_id":547,"text":" loved","probability":0.053095363080501556},{"token_id":631,"text":" lived","probability":0.04541487246751785}]},{"token_id":959,"text":" red","origin":"accepted","node":1,"target_prob":0.6811060309410095,"alternatives":[{"token_id":959,"text":" red","probability":0.6811060309410095},{"token_id":2528,"text":" brown","probability":0.06335273385047913},{"token_id":1178,"text":" blue","probability":0.046349845826625824},{"token_id":1200,"text":" green","probability":0.032866962254047394},{"token_id":1764,"text":" white","probability":0.009126825258135796}]},{"token_id":1314,"text":" fox","origin":"accepted","node":2,"target_prob":0.9491341710090637,"alternatives":[{"token_id":1314,"text":" fox","probability":0.9491341710090637},{"token_id":981,"text":" bear","probability":0.034572210162878036},{"token_id":951,"text":" rabbit","probability":0.002076222561299801},{"token_id":1140,"text":" mouse","probability":0.0009807380847632885},{"token_id":2642,"text":" guard","probability":0.0008388697169721127}]},{"token_id":14,"text":",","origin":"bonus","node":null,"target_prob":0.9721235632896423,"alternatives":[{"token_id":14,"text":",","probability":0.9721235632896423},{"token_id":16,"text":".","probability":0.00895294826477766},{"token_id":547,"text":" loved","probability":0.005430237855762243},{"token_id":272,"text":" and","probability":0.004229073412716389},{"token_id":358,"text":"''s","probability":0.0015557891456410289}]}],"draft_ns":79318,"target_ns":2341809919,"verify_ns":388539,"commit_ns":41412,"host_ns":95721299,"kv_length":33,"proposed_by":null,"kind":"stepped"}');
INSERT INTO "steps" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',7,'{"reason":"length","counts":{"steps":5,"proposed":15,"accepted":7,"emitted":12,"target_passes":5},"decode_ns":14155541750,"message":"","kind":"session_finished"}');
CREATE TABLE tags (
	run_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	CONSTRAINT pk_tags PRIMARY KEY (run_id, name), 
	CONSTRAINT fk_tags_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
CREATE INDEX ix_runs_created_at_id ON runs (created_at, id);
CREATE INDEX ix_runs_status_created_at ON runs (status, created_at);
CREATE INDEX ix_runs_method_created_at ON runs (method, created_at);
CREATE INDEX ix_runs_group_id ON runs (group_id);
CREATE INDEX ix_runs_baseline_run_id ON runs (baseline_run_id);
CREATE INDEX ix_tags_name ON tags (name);
COMMIT;
