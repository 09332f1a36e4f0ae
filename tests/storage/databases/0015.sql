SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.audit (
    id integer NOT NULL,
    created_at timestamp with time zone NOT NULL,
    token_id integer,
    who character varying NOT NULL,
    address character varying NOT NULL,
    action character varying NOT NULL,
    subject text NOT NULL,
    detail json NOT NULL
);
CREATE SEQUENCE public.audit_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.audit_id_seq OWNED BY public.audit.id;
CREATE TABLE public.beginnings (
    id integer NOT NULL,
    campaign_id integer NOT NULL,
    model_id integer NOT NULL,
    device_class_id integer NOT NULL,
    library_s double precision,
    reference_s double precision,
    created_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.beginnings_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.beginnings_id_seq OWNED BY public.beginnings.id;
CREATE TABLE public.campaign_models (
    id integer NOT NULL,
    campaign_id integer NOT NULL,
    "position" integer NOT NULL,
    model_id integer,
    path text NOT NULL,
    shapes json NOT NULL
);
CREATE SEQUENCE public.campaign_models_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.campaign_models_id_seq OWNED BY public.campaign_models.id;
CREATE TABLE public.campaigns (
    id integer NOT NULL,
    name character varying,
    engine character varying NOT NULL,
    state character varying NOT NULL,
    spec json NOT NULL,
    request character varying,
    message text NOT NULL,
    seed bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    active_s double precision NOT NULL,
    priority integer DEFAULT 0 NOT NULL,
    lease_owner character varying,
    lease_until timestamp with time zone
);
CREATE SEQUENCE public.campaigns_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.campaigns_id_seq OWNED BY public.campaigns.id;
CREATE TABLE public.cost_models (
    id integer NOT NULL,
    device_class_id integer NOT NULL,
    kind character varying NOT NULL,
    trained_on integer NOT NULL,
    model bytea NOT NULL,
    created_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.cost_models_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.cost_models_id_seq OWNED BY public.cost_models.id;
CREATE TABLE public.cost_samples (
    id integer NOT NULL,
    device_class_id integer NOT NULL,
    workload_id integer NOT NULL,
    campaign_id integer,
    kind character varying NOT NULL,
    count integer NOT NULL,
    samples bytea NOT NULL,
    created_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.cost_samples_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.cost_samples_id_seq OWNED BY public.cost_samples.id;
CREATE TABLE public.device_checks (
    id integer NOT NULL,
    campaign_id integer,
    run character varying NOT NULL,
    device_class_id integer NOT NULL,
    device character varying NOT NULL,
    host character varying NOT NULL,
    toolchain_id integer NOT NULL,
    kernel character varying NOT NULL,
    state character varying NOT NULL,
    at_s double precision NOT NULL,
    times json NOT NULL,
    time_s double precision,
    reference_s double precision,
    drift double precision,
    tries integer NOT NULL,
    marked integer NOT NULL,
    message text NOT NULL,
    clock_mhz double precision,
    governor character varying,
    load double precision,
    temperature_c double precision,
    throttle_count bigint,
    throttling character varying,
    stolen_s double precision,
    checked_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.device_checks_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.device_checks_id_seq OWNED BY public.device_checks.id;
CREATE TABLE public.device_classes (
    id integer NOT NULL,
    name character varying NOT NULL,
    target_id integer NOT NULL,
    model character varying NOT NULL,
    cores integer NOT NULL,
    kind character varying NOT NULL,
    toolchain character varying DEFAULT ''::character varying NOT NULL
);
CREATE SEQUENCE public.device_classes_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.device_classes_id_seq OWNED BY public.device_classes.id;
CREATE TABLE public.devices (
    id integer NOT NULL,
    key character varying NOT NULL,
    host character varying NOT NULL,
    device_class_id integer NOT NULL,
    versions json NOT NULL,
    last_seen_at timestamp with time zone NOT NULL,
    state character varying DEFAULT 'seen'::character varying NOT NULL,
    message text DEFAULT ''::text NOT NULL,
    trials_per_hour double precision
);
CREATE SEQUENCE public.devices_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.devices_id_seq OWNED BY public.devices.id;
CREATE TABLE public.extractions (
    id integer NOT NULL,
    model_id integer NOT NULL,
    target_id integer NOT NULL,
    engine_version character varying NOT NULL,
    layout character varying DEFAULT ''::character varying NOT NULL,
    layout_reason character varying DEFAULT ''::character varying NOT NULL,
    alternative character varying DEFAULT ''::character varying NOT NULL,
    estimate_s double precision,
    alternative_s double precision,
    created_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.extractions_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.extractions_id_seq OWNED BY public.extractions.id;
CREATE TABLE public.inside_times (
    id integer NOT NULL,
    model_id integer NOT NULL,
    device_class_id integer NOT NULL,
    workload_id integer NOT NULL,
    candidate character varying NOT NULL,
    toolchain character varying NOT NULL,
    seconds double precision NOT NULL,
    created_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.inside_times_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.inside_times_id_seq OWNED BY public.inside_times.id;
CREATE TABLE public.layout_decisions (
    id integer NOT NULL,
    campaign_id integer,
    model_id integer NOT NULL,
    device_class_id integer NOT NULL,
    engine_version character varying NOT NULL,
    chosen character varying NOT NULL,
    other character varying NOT NULL,
    chosen_s double precision,
    other_s double precision,
    reason text NOT NULL,
    created_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.layout_decisions_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.layout_decisions_id_seq OWNED BY public.layout_decisions.id;
CREATE TABLE public.measurements (
    id integer NOT NULL,
    trial_id integer NOT NULL,
    toolchain_id integer NOT NULL,
    kind character varying NOT NULL,
    counts boolean NOT NULL,
    state character varying NOT NULL,
    times json NOT NULL,
    message text NOT NULL,
    device character varying NOT NULL,
    host character varying NOT NULL,
    build_s double precision NOT NULL,
    run_s double precision NOT NULL,
    token character varying NOT NULL,
    measured_at timestamp with time zone NOT NULL,
    drift double precision
);
CREATE SEQUENCE public.measurements_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.measurements_id_seq OWNED BY public.measurements.id;
CREATE TABLE public.model_tasks (
    id integer NOT NULL,
    extraction_id integer NOT NULL,
    "position" integer NOT NULL,
    name character varying NOT NULL,
    weight integer NOT NULL,
    workload_id integer NOT NULL
);
CREATE SEQUENCE public.model_tasks_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.model_tasks_id_seq OWNED BY public.model_tasks.id;
CREATE TABLE public.models (
    id integer NOT NULL,
    sha256 character varying NOT NULL,
    shapes_key text NOT NULL,
    name character varying NOT NULL,
    path text NOT NULL,
    inputs json NOT NULL,
    outputs json NOT NULL,
    changes json NOT NULL,
    source text DEFAULT ''::text NOT NULL,
    framework character varying DEFAULT ''::character varying NOT NULL,
    exporter character varying DEFAULT ''::character varying NOT NULL,
    created_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.models_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.models_id_seq OWNED BY public.models.id;
CREATE TABLE public.profiles (
    id integer NOT NULL,
    model_id integer NOT NULL,
    device_class_id integer NOT NULL,
    document json NOT NULL,
    created_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.profiles_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.profiles_id_seq OWNED BY public.profiles.id;
CREATE TABLE public.searches (
    id integer NOT NULL,
    campaign_id integer NOT NULL,
    host character varying NOT NULL,
    began_at timestamp with time zone NOT NULL,
    took_s double precision NOT NULL
);
CREATE SEQUENCE public.searches_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.searches_id_seq OWNED BY public.searches.id;
CREATE TABLE public.submissions (
    id integer NOT NULL,
    campaign_id integer NOT NULL,
    token_id integer NOT NULL
);
CREATE SEQUENCE public.submissions_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.submissions_id_seq OWNED BY public.submissions.id;
CREATE TABLE public.targets (
    id integer NOT NULL,
    engine character varying NOT NULL,
    spec text NOT NULL
);
CREATE SEQUENCE public.targets_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.targets_id_seq OWNED BY public.targets.id;
CREATE TABLE public.tasks (
    id integer NOT NULL,
    campaign_id integer NOT NULL,
    workload_id integer NOT NULL,
    device_class_id integer NOT NULL,
    name character varying NOT NULL,
    weight integer NOT NULL,
    budget integer NOT NULL,
    stored_before integer NOT NULL,
    state character varying NOT NULL,
    note text NOT NULL
);
CREATE SEQUENCE public.tasks_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.tasks_id_seq OWNED BY public.tasks.id;
CREATE TABLE public.tokens (
    id integer NOT NULL,
    name character varying NOT NULL,
    digest character varying NOT NULL,
    scope character varying NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    last_used_at timestamp with time zone,
    device_seconds_a_day double precision,
    campaigns_at_once integer,
    upload_bytes bigint
);
CREATE SEQUENCE public.tokens_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.tokens_id_seq OWNED BY public.tokens.id;
CREATE TABLE public.toolchains (
    id integer NOT NULL,
    versions text NOT NULL,
    key character varying NOT NULL,
    tvm character varying NOT NULL,
    llvm character varying NOT NULL,
    engine character varying NOT NULL,
    kernels character varying NOT NULL,
    driver character varying NOT NULL,
    tunefleet character varying NOT NULL,
    created_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.toolchains_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.toolchains_id_seq OWNED BY public.toolchains.id;
CREATE TABLE public.trials (
    id integer NOT NULL,
    workload_id integer NOT NULL,
    device_class_id integer NOT NULL,
    candidate character varying NOT NULL,
    trace bytea NOT NULL,
    state character varying NOT NULL,
    cost_s double precision,
    toolchain character varying NOT NULL,
    campaign_id integer,
    created_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.trials_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trials_id_seq OWNED BY public.trials.id;
CREATE TABLE public.verifications (
    id integer NOT NULL,
    campaign_id integer,
    model_id integer NOT NULL,
    device_class_id integer NOT NULL,
    records_key character varying NOT NULL,
    untuned_s double precision,
    tuned_s double precision,
    reference_s double precision,
    max_abs double precision,
    max_rel double precision,
    tasks_total integer NOT NULL,
    tasks_tuned integer NOT NULL,
    details json NOT NULL,
    created_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.verifications_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.verifications_id_seq OWNED BY public.verifications.id;
CREATE TABLE public.workloads (
    id integer NOT NULL,
    hash character varying NOT NULL,
    engine character varying NOT NULL,
    name character varying NOT NULL,
    flops double precision NOT NULL,
    module bytea NOT NULL,
    created_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.workloads_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.workloads_id_seq OWNED BY public.workloads.id;
ALTER TABLE ONLY public.audit ALTER COLUMN id SET DEFAULT nextval('public.audit_id_seq'::regclass);
ALTER TABLE ONLY public.beginnings ALTER COLUMN id SET DEFAULT nextval('public.beginnings_id_seq'::regclass);
ALTER TABLE ONLY public.campaign_models ALTER COLUMN id SET DEFAULT nextval('public.campaign_models_id_seq'::regclass);
ALTER TABLE ONLY public.campaigns ALTER COLUMN id SET DEFAULT nextval('public.campaigns_id_seq'::regclass);
ALTER TABLE ONLY public.cost_models ALTER COLUMN id SET DEFAULT nextval('public.cost_models_id_seq'::regclass);
ALTER TABLE ONLY public.cost_samples ALTER COLUMN id SET DEFAULT nextval('public.cost_samples_id_seq'::regclass);
ALTER TABLE ONLY public.device_checks ALTER COLUMN id SET DEFAULT nextval('public.device_checks_id_seq'::regclass);
ALTER TABLE ONLY public.device_classes ALTER COLUMN id SET DEFAULT nextval('public.device_classes_id_seq'::regclass);
ALTER TABLE ONLY public.devices ALTER COLUMN id SET DEFAULT nextval('public.devices_id_seq'::regclass);
ALTER TABLE ONLY public.extractions ALTER COLUMN id SET DEFAULT nextval('public.extractions_id_seq'::regclass);
ALTER TABLE ONLY public.inside_times ALTER COLUMN id SET DEFAULT nextval('public.inside_times_id_seq'::regclass);
ALTER TABLE ONLY public.layout_decisions ALTER COLUMN id SET DEFAULT nextval('public.layout_decisions_id_seq'::regclass);
ALTER TABLE ONLY public.measurements ALTER COLUMN id SET DEFAULT nextval('public.measurements_id_seq'::regclass);
ALTER TABLE ONLY public.model_tasks ALTER COLUMN id SET DEFAULT nextval('public.model_tasks_id_seq'::regclass);
ALTER TABLE ONLY public.models ALTER COLUMN id SET DEFAULT nextval('public.models_id_seq'::regclass);
ALTER TABLE ONLY public.profiles ALTER COLUMN id SET DEFAULT nextval('public.profiles_id_seq'::regclass);
ALTER TABLE ONLY public.searches ALTER COLUMN id SET DEFAULT nextval('public.searches_id_seq'::regclass);
ALTER TABLE ONLY public.submissions ALTER COLUMN id SET DEFAULT nextval('public.submissions_id_seq'::regclass);
ALTER TABLE ONLY public.targets ALTER COLUMN id SET DEFAULT nextval('public.targets_id_seq'::regclass);
ALTER TABLE ONLY public.tasks ALTER COLUMN id SET DEFAULT nextval('public.tasks_id_seq'::regclass);
ALTER TABLE ONLY public.tokens ALTER COLUMN id SET DEFAULT nextval('public.tokens_id_seq'::regclass);
ALTER TABLE ONLY public.toolchains ALTER COLUMN id SET DEFAULT nextval('public.toolchains_id_seq'::regclass);
ALTER TABLE ONLY public.trials ALTER COLUMN id SET DEFAULT nextval('public.trials_id_seq'::regclass);
ALTER TABLE ONLY public.verifications ALTER COLUMN id SET DEFAULT nextval('public.verifications_id_seq'::regclass);
ALTER TABLE ONLY public.workloads ALTER COLUMN id SET DEFAULT nextval('public.workloads_id_seq'::regclass);
INSERT INTO public.alembic_version VALUES ('0015');
INSERT INTO public.audit VALUES (1, '2026-11-28 15:02:57.778432+00', 1, 'ada', '192.0.2.7', 'pause', 'campaign 2', '{"why": "x"}');
INSERT INTO public.beginnings VALUES (1, 1, 1, 1, 0.4, 0.01, '2026-11-28 15:02:57.735707+00');
INSERT INTO public.campaign_models VALUES (1, 1, 0, 1, '/models/squeezenet.onnx', '{"input": [1, 3, 224, 224]}');
INSERT INTO public.campaign_models VALUES (2, 2, 0, NULL, '/models/squeezenet.onnx', '{"input": [1, 3, 224, 224]}');
INSERT INTO public.campaign_models VALUES (3, 3, 0, NULL, '/models/squeezenet.onnx', '{"input": [1, 3, 224, 224]}');
INSERT INTO public.campaigns VALUES (1, 'nightly', 'metaschedule', 'done', '{"trials": 24, "models": [{"path": "/models/squeezenet.onnx"}]}', NULL, 'measured 15 trials', 1099511627776, '2026-11-28 15:02:57.700662+00', '2026-11-28 15:02:57.706016+00', '2026-11-28 15:02:57.753822+00', 12.5, 0, NULL, NULL);
INSERT INTO public.campaigns VALUES (2, 'weekly', 'metaschedule', 'paused', '{"trials": 24, "models": [{"path": "/models/squeezenet.onnx"}]}', NULL, 'paused on request', 1099511627776, '2026-11-28 15:02:57.755529+00', NULL, NULL, 0, 0, NULL, NULL);
INSERT INTO public.campaigns VALUES (3, NULL, 'metaschedule', 'extracting', '{"trials": 24, "models": [{"path": "/models/squeezenet.onnx"}]}', NULL, '', 1099511627776, '2026-11-28 15:02:57.758949+00', '2026-11-28 15:02:57.760805+00', NULL, 0, 0, 'a coordinator that died', '2026-11-28 15:02:57.768949+00');
INSERT INTO public.cost_models VALUES (1, 1, 'features', 8, '\x785ecbcd4f49cd010006440212', '2026-11-28 15:02:57.787897+00');
INSERT INTO public.cost_samples VALUES (1, 1, 1, 1, 'features', 8, '\x785e2b4ecc2dc8492d06000bd402f6', '2026-11-28 15:02:57.784272+00');
INSERT INTO public.device_checks VALUES (1, 1, 'run', 1, 'cpu-key', 'host-a', 1, 'known', 'first', 60, '[0.001]', 0.001, 0.001, 0, 1, 0, '', 2600, 'performance', 1.5, NULL, NULL, NULL, NULL, '2026-11-28 15:02:57.769518+00');
INSERT INTO public.device_checks VALUES (2, 1, 'run', 1, 'cpu-key', 'host-a', 1, 'known', 'drifted', 60, '[0.0013]', 0.0013, 0.001, 0.3, 1, 0, '', 2600, 'performance', 1.5, NULL, NULL, NULL, NULL, '2026-11-28 15:02:57.772255+00');
INSERT INTO public.device_classes VALUES (1, 'cpu-a-2', 1, 'Some CPU', 2, 'cpu', '44b3b5853021');
INSERT INTO public.device_classes VALUES (2, 'gpu-b', 2, 'Some GPU', 0, 'cuda', 'e733a7114820');
INSERT INTO public.devices VALUES (1, 'cpu-key', 'host-a', 1, '{"tvm": "0.27.0"}', '2026-11-28 15:02:57.679882+00', 'seen', '', NULL);
INSERT INTO public.devices VALUES (2, 'cuda-key', 'host-a', 2, '{"tvm": "0.27.0"}', '2026-11-28 15:02:57.684549+00', 'seen', '', NULL);
INSERT INTO public.extractions VALUES (1, 1, 1, '0.27.0-1', 'blocked', 'by its estimate', 'nhwc', 0.0012, 0.0013, '2026-11-28 15:02:57.690991+00');
INSERT INTO public.extractions VALUES (2, 1, 2, '0.27.0-1', 'blocked', 'by its estimate', 'nhwc', 0.0012, 0.0013, '2026-11-28 15:02:57.697606+00');
INSERT INTO public.inside_times VALUES (1, 1, 1, 1, '0000000000000000000000000000000000000000000000000000000000000000', '44b3b5853021', 0.0015, '2026-11-28 15:02:57.739601+00');
INSERT INTO public.layout_decisions VALUES (1, 1, 1, 1, '0.27.0-1', 'nhwc', 'blocked', 0.001, 0.002, 'it is faster', '2026-11-28 15:02:57.746768+00');
INSERT INTO public.measurements VALUES (1, 1, 1, 'full', true, 'ok', '[0.009000000000000001, 0.018000000000000002, 0.027]', '', 'cpu:0', 'host-a', 0.25, 0.5, 'token-0', '2026-11-28 15:02:57.72104+00', NULL);
INSERT INTO public.measurements VALUES (2, 2, 1, 'full', true, 'ok', '[0.008, 0.016, 0.024]', '', 'cpu:0', 'host-a', 0.25, 0.5, 'token-1', '2026-11-28 15:02:57.721371+00', NULL);
INSERT INTO public.measurements VALUES (4, 4, 1, 'full', true, 'ok', '[0.006, 0.012, 0.018000000000000002]', '', 'cpu:0', 'host-a', 0.25, 0.5, 'token-3', '2026-11-28 15:02:57.721555+00', NULL);
INSERT INTO public.measurements VALUES (5, 5, 1, 'full', true, 'ok', '[0.005, 0.01, 0.015]', '', 'cpu:0', 'host-a', 0.25, 0.5, 'token-4', '2026-11-28 15:02:57.721623+00', NULL);
INSERT INTO public.measurements VALUES (6, 6, 1, 'full', true, 'ok', '[0.004, 0.008, 0.012]', '', 'cpu:0', 'host-a', 0.25, 0.5, 'token-5', '2026-11-28 15:02:57.721697+00', NULL);
INSERT INTO public.measurements VALUES (7, 7, 1, 'full', true, 'ok', '[0.003, 0.006, 0.009000000000000001]', '', 'cpu:0', 'host-a', 0.25, 0.5, 'token-6', '2026-11-28 15:02:57.721743+00', NULL);
INSERT INTO public.measurements VALUES (8, 8, 1, 'full', true, 'ok', '[0.002, 0.004, 0.006]', '', 'cpu:0', 'host-a', 0.25, 0.5, 'token-7', '2026-11-28 15:02:57.721762+00', NULL);
INSERT INTO public.measurements VALUES (9, 9, 1, 'full', true, 'ok', '[0.009000000000000001, 0.018000000000000002, 0.027]', '', 'cpu:0', 'host-a', 0.25, 0.5, 'token-0', '2026-11-28 15:02:57.72178+00', NULL);
INSERT INTO public.measurements VALUES (10, 10, 1, 'full', true, 'build_error', '[]', 'it failed: 1
  at line 1', 'cpu:0', 'host-a', 0.25, 0.5, 'token-1', '2026-11-28 15:02:57.721798+00', NULL);
INSERT INTO public.measurements VALUES (11, 11, 1, 'full', true, 'build_timeout', '[]', 'it failed: 2
  at line 1', 'cpu:0', 'host-a', 0.25, 0.5, 'token-2', '2026-11-28 15:02:57.721815+00', NULL);
INSERT INTO public.measurements VALUES (12, 12, 1, 'full', true, 'run_error', '[]', 'it failed: 3
  at line 1', 'cpu:0', 'host-a', 0.25, 0.5, 'token-3', '2026-11-28 15:02:57.721836+00', NULL);
INSERT INTO public.measurements VALUES (13, 13, 1, 'full', true, 'run_timeout', '[]', 'it failed: 4
  at line 1', 'cpu:0', 'host-a', 0.25, 0.5, 'token-4', '2026-11-28 15:02:57.721852+00', NULL);
INSERT INTO public.measurements VALUES (14, 14, 1, 'full', true, 'wrong_output', '[]', 'it failed: 5
  at line 1', 'cpu:0', 'host-a', 0.25, 0.5, 'token-5', '2026-11-28 15:02:57.721868+00', NULL);
INSERT INTO public.measurements VALUES (15, 15, 1, 'full', true, 'device_lost', '[]', 'it failed: 6
  at line 1', 'cpu:0', 'host-a', 0.25, 0.5, 'token-6', '2026-11-28 15:02:57.721884+00', NULL);
INSERT INTO public.measurements VALUES (3, 3, 1, 'full', true, 'ok', '[0.007, 0.014, 0.021]', '', 'cpu:0', 'host-a', 0.25, 0.5, 'token-2', '2026-11-28 15:02:57.721481+00', 0.3);
INSERT INTO public.measurements VALUES (17, 16, 1, 'again', false, 'ok', '[0.007]', '', 'gpu:0', 'host-b', 0.2, 0.4, 'token-9-again', '2026-11-28 15:02:57.794651+00', NULL);
INSERT INTO public.measurements VALUES (16, 16, 1, 'full', false, 'ok', '[0.0, 0.0, 0.0]', '', 'cpu:0', 'host-a', 0.25, 0.5, 'token-9', '2026-11-28 15:02:57.7921+00', NULL);
INSERT INTO public.measurements VALUES (18, 16, 2, 'revalidated', true, 'ok', '[0.008]', '', 'gpu:0', 'host-b', 0.2, 0.4, 'token-9-revalidated', '2026-11-28 15:02:57.804418+00', NULL);
INSERT INTO public.model_tasks VALUES (1, 1, 0, 'conv', 3, 1);
INSERT INTO public.model_tasks VALUES (2, 1, 1, 'dense', 1, 2);
INSERT INTO public.model_tasks VALUES (3, 2, 0, 'conv', 3, 1);
INSERT INTO public.model_tasks VALUES (4, 2, 1, 'dense', 1, 2);
INSERT INTO public.models VALUES (1, 'abababababababababababababababababababababababababababababababab', 'input=1,3,224,224', 'squeezenet', '/models/squeezenet.onnx', '[{"name": "input", "shape": [1, 3, 224, 224], "dtype": "float32", "values": [0, 1]}]', '[{"name": "input", "shape": [1, 3, 224, 224], "dtype": "float32", "values": [0, 1]}]', '["opset raised to 17"]', 'squeezenet.pt2', 'PyTorch 2.13.0', 'torch.onnx.export(dynamo=True)', '2026-11-28 15:02:57.686004+00');
INSERT INTO public.profiles VALUES (1, 1, 1, '{"run_s": 0.002, "tasks": []}', '2026-11-28 15:02:57.78016+00');
INSERT INTO public.searches VALUES (1, 1, 'host-a', '2026-11-28 15:02:54.241701+00', 2.5);
INSERT INTO public.submissions VALUES (1, 2, 1);
INSERT INTO public.targets VALUES (1, 'metaschedule', 'llvm -num-cores 2');
INSERT INTO public.targets VALUES (2, 'metaschedule', 'cuda -arch=sm_90');
INSERT INTO public.tasks VALUES (1, 1, 1, 1, 'conv', 3, 16, 0, 'plateaued', 'the last 8 brought nothing better');
INSERT INTO public.tasks VALUES (2, 1, 2, 1, 'dense', 1, 8, 0, 'exhausted', 'its space is used up');
INSERT INTO public.tokens VALUES (1, 'ada', 'abababababababababababababababababababababababababababababababab', 'submit', '2026-11-28 15:02:57.762427+00', NULL, NULL, NULL, NULL, 2, NULL);
INSERT INTO public.toolchains VALUES (1, '{"tunefleet": "0.1.0", "tvm": "0.27.0"}', '44b3b5853021', '0.27.0', '', '', '', '', '0.1.0', '2026-11-28 15:02:57.716457+00');
INSERT INTO public.toolchains VALUES (2, '{"driver": "550.54", "kernels": "1", "llvm": "22", "tunefleet": "0.1.0", "tvm": "0.27.0"}', 'e733a7114820', '0.27.0', '22', '', '1', '550.54', '0.1.0', '2026-11-28 15:02:57.800317+00');
INSERT INTO public.trials VALUES (1, 1, 1, '0000000000000000000000000000000000000000000000000000000000000000', '\x785e8b8e8e560a4ecc2dc849754e2c494dcf2fca4c4ecc51d251888e0562031d053313102336164482f806402600bbdd0f87', 'ok', 0.018000000000000002, '44b3b5853021', 1, '2026-11-28 15:02:57.718127+00');
INSERT INTO public.trials VALUES (2, 1, 1, '0000000000000000000000000000000000000000000000000000000000000001', '\x785e8b8e8e560a4ecc2dc849754e2c494dcf2fca4c4ecc51d251888e0562431d0533131023361644461be82818029900bbf80f89', 'ok', 0.016, '44b3b5853021', 1, '2026-11-28 15:02:57.718458+00');
INSERT INTO public.trials VALUES (3, 1, 1, '0000000000000000000000000000000000000000000000000000000000000002', '\x785e8b8e8e560a4ecc2dc849754e2c494dcf2fca4c4ecc51d251888e0562231d0533131023361644461be82818019900bc130f8b', 'ok', 0.014, '44b3b5853021', 1, '2026-11-28 15:02:57.718535+00');
INSERT INTO public.trials VALUES (4, 1, 1, '0000000000000000000000000000000000000000000000000000000000000003', '\x785e8b8e8e560a4ecc2dc849754e2c494dcf2fca4c4ecc51d251888e0562631d0533131023361644461be82818039900bc2e0f8d', 'ok', 0.012, '44b3b5853021', 1, '2026-11-28 15:02:57.718575+00');
INSERT INTO public.trials VALUES (5, 1, 1, '0000000000000000000000000000000000000000000000000000000000000004', '\x785e8b8e8e560a4ecc2dc849754e2c494dcf2fca4c4ecc51d251888e0562131d0533131023361644461be82898009900bc490f8f', 'ok', 0.01, '44b3b5853021', 1, '2026-11-28 15:02:57.718613+00');
INSERT INTO public.trials VALUES (6, 1, 1, '0000000000000000000000000000000000000000000000000000000000000005', '\x785e8b8e8e560a4ecc2dc849754e2c494dcf2fca4c4ecc51d251888e0562531d0533131023361644461be82898029900bc640f91', 'ok', 0.008, '44b3b5853021', 1, '2026-11-28 15:02:57.718652+00');
INSERT INTO public.trials VALUES (7, 1, 1, '0000000000000000000000000000000000000000000000000000000000000006', '\x785e8b8e8e560a4ecc2dc849754e2c494dcf2fca4c4ecc51d251888e0562331d0533131023361644461b00f9402600bc7f0f93', 'ok', 0.006, '44b3b5853021', 1, '2026-11-28 15:02:57.718691+00');
INSERT INTO public.trials VALUES (8, 1, 1, '0000000000000000000000000000000000000000000000000000000000000007', '\x785e8b8e8e560a4ecc2dc849754e2c494dcf2fca4c4ecc51d251888e0562731d0533131023361644461be82898039900bc9a0f95', 'ok', 0.004, '44b3b5853021', 1, '2026-11-28 15:02:57.718707+00');
INSERT INTO public.trials VALUES (9, 2, 1, '0000000000000000000000000000000000000000000000000000000000000000', '\x785e8b8e8e560a4ecc2dc849754e2c494dcf2fca4c4ecc51d251888e0562031d053313102336164482f806402600bbdd0f87', 'ok', 0.018000000000000002, '44b3b5853021', 1, '2026-11-28 15:02:57.718723+00');
INSERT INTO public.trials VALUES (10, 2, 1, '0000000000000000000000000000000000000000000000000000000000000001', '\x785e8b8e8e560a4ecc2dc849754e2c494dcf2fca4c4ecc51d251888e0562431d0533131023361644461be82818029900bbf80f89', 'build_error', NULL, '44b3b5853021', 1, '2026-11-28 15:02:57.718773+00');
INSERT INTO public.trials VALUES (11, 2, 1, '0000000000000000000000000000000000000000000000000000000000000002', '\x785e8b8e8e560a4ecc2dc849754e2c494dcf2fca4c4ecc51d251888e0562231d0533131023361644461be82818019900bc130f8b', 'build_timeout', NULL, '44b3b5853021', 1, '2026-11-28 15:02:57.718801+00');
INSERT INTO public.trials VALUES (12, 2, 1, '0000000000000000000000000000000000000000000000000000000000000003', '\x785e8b8e8e560a4ecc2dc849754e2c494dcf2fca4c4ecc51d251888e0562631d0533131023361644461be82818039900bc2e0f8d', 'run_error', NULL, '44b3b5853021', 1, '2026-11-28 15:02:57.718822+00');
INSERT INTO public.trials VALUES (13, 2, 1, '0000000000000000000000000000000000000000000000000000000000000004', '\x785e8b8e8e560a4ecc2dc849754e2c494dcf2fca4c4ecc51d251888e0562131d0533131023361644461be82898009900bc490f8f', 'run_timeout', NULL, '44b3b5853021', 1, '2026-11-28 15:02:57.718841+00');
INSERT INTO public.trials VALUES (14, 2, 1, '0000000000000000000000000000000000000000000000000000000000000005', '\x785e8b8e8e560a4ecc2dc849754e2c494dcf2fca4c4ecc51d251888e0562531d0533131023361644461be82898029900bc640f91', 'wrong_output', NULL, '44b3b5853021', 1, '2026-11-28 15:02:57.71886+00');
INSERT INTO public.trials VALUES (15, 2, 1, '0000000000000000000000000000000000000000000000000000000000000006', '\x785e8b8e8e560a4ecc2dc849754e2c494dcf2fca4c4ecc51d251888e0562331d0533131023361644461b00f9402600bc7f0f93', 'device_lost', NULL, '44b3b5853021', 1, '2026-11-28 15:02:57.71888+00');
INSERT INTO public.trials VALUES (16, 1, 2, '0000000000000000000000000000000000000000000000000000000000000009', '\x785e8b8e8e560a4ecc2dc849754e2c494dcf2fca4c4ecc51d251888e05624b1d0533131023361644461be82858029900bcd00f99', 'ok', 0.008, 'e733a7114820', NULL, '2026-11-28 15:02:57.790537+00');
INSERT INTO public.verifications VALUES (1, 1, 1, 1, 'key', 0.4, 0.02, 0.01, 1e-05, 2e-06, 2, 2, '{"runs": 5}', '2026-11-28 15:02:57.751781+00');
INSERT INTO public.workloads VALUES (1, 'c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0', 'metaschedule', 'fused_conv2d_add_relu', 230000000, '\x785e4bcecf2b4b1ec583060300feb7ab19', '2026-11-28 15:02:57.692066+00');
INSERT INTO public.workloads VALUES (2, 'dededededededededededededededededededededededededededededededede', 'metaschedule', 'fused_matmul_add', 4100000, '\x785e4b49cd2b4e4d1925461201007741cddd', '2026-11-28 15:02:57.692226+00');
SELECT pg_catalog.setval('public.audit_id_seq', 1, true);
SELECT pg_catalog.setval('public.beginnings_id_seq', 1, true);
SELECT pg_catalog.setval('public.campaign_models_id_seq', 3, true);
SELECT pg_catalog.setval('public.campaigns_id_seq', 3, true);
SELECT pg_catalog.setval('public.cost_models_id_seq', 1, true);
SELECT pg_catalog.setval('public.cost_samples_id_seq', 1, true);
SELECT pg_catalog.setval('public.device_checks_id_seq', 2, true);
SELECT pg_catalog.setval('public.device_classes_id_seq', 2, true);
SELECT pg_catalog.setval('public.devices_id_seq', 2, true);
SELECT pg_catalog.setval('public.extractions_id_seq', 2, true);
SELECT pg_catalog.setval('public.inside_times_id_seq', 1, true);
SELECT pg_catalog.setval('public.layout_decisions_id_seq', 1, true);
SELECT pg_catalog.setval('public.measurements_id_seq', 18, true);
SELECT pg_catalog.setval('public.model_tasks_id_seq', 4, true);
SELECT pg_catalog.setval('public.models_id_seq', 1, true);
SELECT pg_catalog.setval('public.profiles_id_seq', 1, true);
SELECT pg_catalog.setval('public.searches_id_seq', 1, true);
SELECT pg_catalog.setval('public.submissions_id_seq', 1, true);
SELECT pg_catalog.setval('public.targets_id_seq', 4, true);
SELECT pg_catalog.setval('public.tasks_id_seq', 2, true);
SELECT pg_catalog.setval('public.tokens_id_seq', 1, true);
SELECT pg_catalog.setval('public.toolchains_id_seq', 2, true);
SELECT pg_catalog.setval('public.trials_id_seq', 16, true);
SELECT pg_catalog.setval('public.verifications_id_seq', 1, true);
SELECT pg_catalog.setval('public.workloads_id_seq', 4, true);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.audit
    ADD CONSTRAINT pk_audit PRIMARY KEY (id);
ALTER TABLE ONLY public.beginnings
    ADD CONSTRAINT pk_beginnings PRIMARY KEY (id);
ALTER TABLE ONLY public.campaign_models
    ADD CONSTRAINT pk_campaign_models PRIMARY KEY (id);
ALTER TABLE ONLY public.campaigns
    ADD CONSTRAINT pk_campaigns PRIMARY KEY (id);
ALTER TABLE ONLY public.cost_models
    ADD CONSTRAINT pk_cost_models PRIMARY KEY (id);
ALTER TABLE ONLY public.cost_samples
    ADD CONSTRAINT pk_cost_samples PRIMARY KEY (id);
ALTER TABLE ONLY public.device_checks
    ADD CONSTRAINT pk_device_checks PRIMARY KEY (id);
ALTER TABLE ONLY public.device_classes
    ADD CONSTRAINT pk_device_classes PRIMARY KEY (id);
ALTER TABLE ONLY public.devices
    ADD CONSTRAINT pk_devices PRIMARY KEY (id);
ALTER TABLE ONLY public.extractions
    ADD CONSTRAINT pk_extractions PRIMARY KEY (id);
ALTER TABLE ONLY public.inside_times
    ADD CONSTRAINT pk_inside_times PRIMARY KEY (id);
ALTER TABLE ONLY public.layout_decisions
    ADD CONSTRAINT pk_layout_decisions PRIMARY KEY (id);
ALTER TABLE ONLY public.measurements
    ADD CONSTRAINT pk_measurements PRIMARY KEY (id);
ALTER TABLE ONLY public.model_tasks
    ADD CONSTRAINT pk_model_tasks PRIMARY KEY (id);
ALTER TABLE ONLY public.models
    ADD CONSTRAINT pk_models PRIMARY KEY (id);
ALTER TABLE ONLY public.profiles
    ADD CONSTRAINT pk_profiles PRIMARY KEY (id);
ALTER TABLE ONLY public.searches
    ADD CONSTRAINT pk_searches PRIMARY KEY (id);
ALTER TABLE ONLY public.submissions
    ADD CONSTRAINT pk_submissions PRIMARY KEY (id);
ALTER TABLE ONLY public.targets
    ADD CONSTRAINT pk_targets PRIMARY KEY (id);
ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT pk_tasks PRIMARY KEY (id);
ALTER TABLE ONLY public.tokens
    ADD CONSTRAINT pk_tokens PRIMARY KEY (id);
ALTER TABLE ONLY public.toolchains
    ADD CONSTRAINT pk_toolchains PRIMARY KEY (id);
ALTER TABLE ONLY public.trials
    ADD CONSTRAINT pk_trials PRIMARY KEY (id);
ALTER TABLE ONLY public.verifications
    ADD CONSTRAINT pk_verifications PRIMARY KEY (id);
ALTER TABLE ONLY public.workloads
    ADD CONSTRAINT pk_workloads PRIMARY KEY (id);
ALTER TABLE ONLY public.beginnings
    ADD CONSTRAINT uq_beginnings_campaign_id_model_id_device_class_id UNIQUE (campaign_id, model_id, device_class_id);
ALTER TABLE ONLY public.campaign_models
    ADD CONSTRAINT uq_campaign_models_campaign_id_position UNIQUE (campaign_id, "position");
ALTER TABLE ONLY public.campaigns
    ADD CONSTRAINT uq_campaigns_name UNIQUE (name);
ALTER TABLE ONLY public.cost_models
    ADD CONSTRAINT uq_cost_models_device_class_id_kind UNIQUE (device_class_id, kind);
ALTER TABLE ONLY public.device_classes
    ADD CONSTRAINT uq_device_classes_name UNIQUE (name);
ALTER TABLE ONLY public.devices
    ADD CONSTRAINT uq_devices_key_host UNIQUE (key, host);
ALTER TABLE ONLY public.extractions
    ADD CONSTRAINT uq_extractions_model_id_target_id_engine_version UNIQUE (model_id, target_id, engine_version);
ALTER TABLE ONLY public.inside_times
    ADD CONSTRAINT uq_inside_times_model_id_device_class_id_workload_id UNIQUE (model_id, device_class_id, workload_id);
ALTER TABLE ONLY public.layout_decisions
    ADD CONSTRAINT uq_layout_decisions_campaign_id_model_id_device_class_id UNIQUE (campaign_id, model_id, device_class_id);
ALTER TABLE ONLY public.measurements
    ADD CONSTRAINT uq_measurements_trial_id_kind_token UNIQUE (trial_id, kind, token);
ALTER TABLE ONLY public.model_tasks
    ADD CONSTRAINT uq_model_tasks_extraction_id_workload_id UNIQUE (extraction_id, workload_id);
ALTER TABLE ONLY public.models
    ADD CONSTRAINT uq_models_sha256_shapes_key UNIQUE (sha256, shapes_key);
ALTER TABLE ONLY public.submissions
    ADD CONSTRAINT uq_submissions_campaign_id UNIQUE (campaign_id);
ALTER TABLE ONLY public.targets
    ADD CONSTRAINT uq_targets_engine_spec UNIQUE (engine, spec);
ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT uq_tasks_campaign_id_workload_id_device_class_id UNIQUE (campaign_id, workload_id, device_class_id);
ALTER TABLE ONLY public.tokens
    ADD CONSTRAINT uq_tokens_digest UNIQUE (digest);
ALTER TABLE ONLY public.tokens
    ADD CONSTRAINT uq_tokens_name UNIQUE (name);
ALTER TABLE ONLY public.toolchains
    ADD CONSTRAINT uq_toolchains_versions UNIQUE (versions);
ALTER TABLE ONLY public.trials
    ADD CONSTRAINT uq_trials_workload_id_device_class_id_candidate UNIQUE (workload_id, device_class_id, candidate);
ALTER TABLE ONLY public.workloads
    ADD CONSTRAINT uq_workloads_hash UNIQUE (hash);
CREATE INDEX ix_campaign_models_model_id ON public.campaign_models USING btree (model_id);
CREATE INDEX ix_campaigns_state ON public.campaigns USING btree (state);
CREATE INDEX ix_cost_samples_kind_device_class_id_id ON public.cost_samples USING btree (kind, device_class_id, id);
CREATE INDEX ix_device_checks_campaign_id_id ON public.device_checks USING btree (campaign_id, id);
CREATE INDEX ix_device_checks_of_device ON public.device_checks USING btree (device, host, device_class_id, id);
CREATE INDEX ix_device_classes_target_id ON public.device_classes USING btree (target_id);
CREATE INDEX ix_layout_decisions_model_id_device_class_id ON public.layout_decisions USING btree (model_id, device_class_id);
CREATE INDEX ix_measurements_drifted ON public.measurements USING btree (trial_id) WHERE (drift IS NOT NULL);
CREATE INDEX ix_measurements_set_aside ON public.measurements USING btree (toolchain_id) WHERE (NOT counts);
CREATE INDEX ix_model_tasks_workload_id ON public.model_tasks USING btree (workload_id);
CREATE INDEX ix_profiles_model_id_device_class_id ON public.profiles USING btree (model_id, device_class_id);
CREATE INDEX ix_searches_campaign_id_id ON public.searches USING btree (campaign_id, id);
CREATE INDEX ix_submissions_token_id ON public.submissions USING btree (token_id);
CREATE INDEX ix_tasks_workload_id ON public.tasks USING btree (workload_id);
CREATE INDEX ix_toolchains_key ON public.toolchains USING btree (key);
CREATE INDEX ix_trials_best ON public.trials USING btree (workload_id, device_class_id, toolchain, cost_s, id, campaign_id);
CREATE INDEX ix_trials_campaign_id_id ON public.trials USING btree (campaign_id, id);
CREATE INDEX ix_verifications_campaign_id ON public.verifications USING btree (campaign_id);
CREATE INDEX ix_verifications_model_id_device_class_id_id ON public.verifications USING btree (model_id, device_class_id, id);
CREATE INDEX ix_workloads_engine_name_id ON public.workloads USING btree (engine, name, id);
ALTER TABLE ONLY public.audit
    ADD CONSTRAINT fk_audit_token_id_tokens FOREIGN KEY (token_id) REFERENCES public.tokens(id);
ALTER TABLE ONLY public.beginnings
    ADD CONSTRAINT fk_beginnings_campaign_id_campaigns FOREIGN KEY (campaign_id) REFERENCES public.campaigns(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.beginnings
    ADD CONSTRAINT fk_beginnings_device_class_id_device_classes FOREIGN KEY (device_class_id) REFERENCES public.device_classes(id);
ALTER TABLE ONLY public.beginnings
    ADD CONSTRAINT fk_beginnings_model_id_models FOREIGN KEY (model_id) REFERENCES public.models(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.campaign_models
    ADD CONSTRAINT fk_campaign_models_campaign_id_campaigns FOREIGN KEY (campaign_id) REFERENCES public.campaigns(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.campaign_models
    ADD CONSTRAINT fk_campaign_models_model_id_models FOREIGN KEY (model_id) REFERENCES public.models(id);
ALTER TABLE ONLY public.cost_models
    ADD CONSTRAINT fk_cost_models_device_class_id_device_classes FOREIGN KEY (device_class_id) REFERENCES public.device_classes(id);
ALTER TABLE ONLY public.cost_samples
    ADD CONSTRAINT fk_cost_samples_campaign_id_campaigns FOREIGN KEY (campaign_id) REFERENCES public.campaigns(id) ON DELETE SET NULL;
ALTER TABLE ONLY public.cost_samples
    ADD CONSTRAINT fk_cost_samples_device_class_id_device_classes FOREIGN KEY (device_class_id) REFERENCES public.device_classes(id);
ALTER TABLE ONLY public.cost_samples
    ADD CONSTRAINT fk_cost_samples_workload_id_workloads FOREIGN KEY (workload_id) REFERENCES public.workloads(id);
ALTER TABLE ONLY public.device_checks
    ADD CONSTRAINT fk_device_checks_campaign_id_campaigns FOREIGN KEY (campaign_id) REFERENCES public.campaigns(id) ON DELETE SET NULL;
ALTER TABLE ONLY public.device_checks
    ADD CONSTRAINT fk_device_checks_device_class_id_device_classes FOREIGN KEY (device_class_id) REFERENCES public.device_classes(id);
ALTER TABLE ONLY public.device_checks
    ADD CONSTRAINT fk_device_checks_toolchain_id_toolchains FOREIGN KEY (toolchain_id) REFERENCES public.toolchains(id);
ALTER TABLE ONLY public.device_classes
    ADD CONSTRAINT fk_device_classes_target_id_targets FOREIGN KEY (target_id) REFERENCES public.targets(id);
ALTER TABLE ONLY public.devices
    ADD CONSTRAINT fk_devices_device_class_id_device_classes FOREIGN KEY (device_class_id) REFERENCES public.device_classes(id);
ALTER TABLE ONLY public.extractions
    ADD CONSTRAINT fk_extractions_model_id_models FOREIGN KEY (model_id) REFERENCES public.models(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.extractions
    ADD CONSTRAINT fk_extractions_target_id_targets FOREIGN KEY (target_id) REFERENCES public.targets(id);
ALTER TABLE ONLY public.inside_times
    ADD CONSTRAINT fk_inside_times_device_class_id_device_classes FOREIGN KEY (device_class_id) REFERENCES public.device_classes(id);
ALTER TABLE ONLY public.inside_times
    ADD CONSTRAINT fk_inside_times_model_id_models FOREIGN KEY (model_id) REFERENCES public.models(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.inside_times
    ADD CONSTRAINT fk_inside_times_workload_id_workloads FOREIGN KEY (workload_id) REFERENCES public.workloads(id);
ALTER TABLE ONLY public.layout_decisions
    ADD CONSTRAINT fk_layout_decisions_campaign_id_campaigns FOREIGN KEY (campaign_id) REFERENCES public.campaigns(id) ON DELETE SET NULL;
ALTER TABLE ONLY public.layout_decisions
    ADD CONSTRAINT fk_layout_decisions_device_class_id_device_classes FOREIGN KEY (device_class_id) REFERENCES public.device_classes(id);
ALTER TABLE ONLY public.layout_decisions
    ADD CONSTRAINT fk_layout_decisions_model_id_models FOREIGN KEY (model_id) REFERENCES public.models(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.measurements
    ADD CONSTRAINT fk_measurements_toolchain_id_toolchains FOREIGN KEY (toolchain_id) REFERENCES public.toolchains(id);
ALTER TABLE ONLY public.measurements
    ADD CONSTRAINT fk_measurements_trial_id_trials FOREIGN KEY (trial_id) REFERENCES public.trials(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.model_tasks
    ADD CONSTRAINT fk_model_tasks_extraction_id_extractions FOREIGN KEY (extraction_id) REFERENCES public.extractions(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.model_tasks
    ADD CONSTRAINT fk_model_tasks_workload_id_workloads FOREIGN KEY (workload_id) REFERENCES public.workloads(id);
ALTER TABLE ONLY public.profiles
    ADD CONSTRAINT fk_profiles_device_class_id_device_classes FOREIGN KEY (device_class_id) REFERENCES public.device_classes(id);
ALTER TABLE ONLY public.profiles
    ADD CONSTRAINT fk_profiles_model_id_models FOREIGN KEY (model_id) REFERENCES public.models(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.searches
    ADD CONSTRAINT fk_searches_campaign_id_campaigns FOREIGN KEY (campaign_id) REFERENCES public.campaigns(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.submissions
    ADD CONSTRAINT fk_submissions_campaign_id_campaigns FOREIGN KEY (campaign_id) REFERENCES public.campaigns(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.submissions
    ADD CONSTRAINT fk_submissions_token_id_tokens FOREIGN KEY (token_id) REFERENCES public.tokens(id);
ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT fk_tasks_campaign_id_campaigns FOREIGN KEY (campaign_id) REFERENCES public.campaigns(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT fk_tasks_device_class_id_device_classes FOREIGN KEY (device_class_id) REFERENCES public.device_classes(id);
ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT fk_tasks_workload_id_workloads FOREIGN KEY (workload_id) REFERENCES public.workloads(id);
ALTER TABLE ONLY public.trials
    ADD CONSTRAINT fk_trials_campaign_id_campaigns FOREIGN KEY (campaign_id) REFERENCES public.campaigns(id) ON DELETE SET NULL;
ALTER TABLE ONLY public.trials
    ADD CONSTRAINT fk_trials_device_class_id_device_classes FOREIGN KEY (device_class_id) REFERENCES public.device_classes(id);
ALTER TABLE ONLY public.trials
    ADD CONSTRAINT fk_trials_workload_id_workloads FOREIGN KEY (workload_id) REFERENCES public.workloads(id);
ALTER TABLE ONLY public.verifications
    ADD CONSTRAINT fk_verifications_campaign_id_campaigns FOREIGN KEY (campaign_id) REFERENCES public.campaigns(id) ON DELETE SET NULL;
ALTER TABLE ONLY public.verifications
    ADD CONSTRAINT fk_verifications_device_class_id_device_classes FOREIGN KEY (device_class_id) REFERENCES public.device_classes(id);
ALTER TABLE ONLY public.verifications
    ADD CONSTRAINT fk_verifications_model_id_models FOREIGN KEY (model_id) REFERENCES public.models(id) ON DELETE CASCADE;
