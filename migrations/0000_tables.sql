CREATE TABLE "batches" (
	"id" serial PRIMARY KEY NOT NULL,
	"annotations" text
);
--> statement-breakpoint
CREATE TABLE "deliveries" (
	"id" serial PRIMARY KEY NOT NULL,
	"lane" text,
	"state" text DEFAULT 'open' NOT NULL,
	"epoch" integer DEFAULT 0 NOT NULL,
	"plan" jsonb,
	"failure" jsonb,
	"undo_error" text,
	"created_at" timestamp(6) with time zone DEFAULT now() NOT NULL,
	"ended_at" timestamp(6) with time zone
);
--> statement-breakpoint
CREATE TABLE "delivery_steps" (
	"delivery_id" integer NOT NULL,
	"seq" integer NOT NULL,
	"name" text NOT NULL,
	"intent" jsonb NOT NULL,
	"outcome" jsonb,
	"notes" jsonb,
	"started_at" timestamp(6) with time zone DEFAULT now() NOT NULL,
	"ended_at" timestamp(6) with time zone,
	"undone_at" timestamp(6) with time zone,
	CONSTRAINT "delivery_steps_delivery_id_seq_pk" PRIMARY KEY("delivery_id","seq")
);
--> statement-breakpoint
CREATE TABLE "outbox" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"kind" text NOT NULL,
	"request_id" integer,
	"batch_id" integer NOT NULL,
	"body" jsonb NOT NULL,
	"created_at" timestamp(6) with time zone DEFAULT now() NOT NULL,
	"sent_at" timestamp(6) with time zone,
	"attempts" integer DEFAULT 0 NOT NULL,
	"last_error" text
);
--> statement-breakpoint
CREATE TABLE "pull_specs" (
	"digest" "bytea" PRIMARY KEY NOT NULL,
	"spec" text NOT NULL,
	"package" text
);
--> statement-breakpoint
CREATE TABLE "request_secrets" (
	"request_id" integer PRIMARY KEY NOT NULL,
	"sealed" "bytea" NOT NULL
);
--> statement-breakpoint
CREATE TABLE "request_states" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"request_id" integer NOT NULL,
	"state" text NOT NULL,
	"state_reason" text NOT NULL,
	"updated" timestamp(6) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "requests" (
	"id" serial PRIMARY KEY NOT NULL,
	"batch_id" integer NOT NULL,
	"type" text NOT NULL,
	"user" text,
	"payload" jsonb NOT NULL,
	"outcome" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"state" text DEFAULT 'in_progress' NOT NULL,
	"state_reason" text DEFAULT '' NOT NULL,
	"updated" timestamp(6) with time zone DEFAULT now() NOT NULL,
	"from_index" text,
	"index_image" text,
	"lane" text,
	"delivery_id" integer,
	"cancelled_at" timestamp(6) with time zone,
	CONSTRAINT "requests_type_known" CHECK (type in ('add', 'rm', 'regenerate-bundle', 'merge-index-image', 'create-empty-index', 'recursive-related-bundles', 'fbc-operations', 'add-deprecations')),
	CONSTRAINT "requests_state_known" CHECK (state in ('in_progress', 'complete', 'failed'))
);
--> statement-breakpoint
ALTER TABLE "delivery_steps" ADD CONSTRAINT "delivery_steps_delivery_id_deliveries_id_fk" FOREIGN KEY ("delivery_id") REFERENCES "public"."deliveries"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "outbox" ADD CONSTRAINT "outbox_request_id_requests_id_fk" FOREIGN KEY ("request_id") REFERENCES "public"."requests"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "outbox" ADD CONSTRAINT "outbox_batch_id_batches_id_fk" FOREIGN KEY ("batch_id") REFERENCES "public"."batches"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "request_secrets" ADD CONSTRAINT "request_secrets_request_id_requests_id_fk" FOREIGN KEY ("request_id") REFERENCES "public"."requests"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "request_states" ADD CONSTRAINT "request_states_request_id_requests_id_fk" FOREIGN KEY ("request_id") REFERENCES "public"."requests"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "requests" ADD CONSTRAINT "requests_batch_id_batches_id_fk" FOREIGN KEY ("batch_id") REFERENCES "public"."batches"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "requests" ADD CONSTRAINT "requests_delivery_id_deliveries_id_fk" FOREIGN KEY ("delivery_id") REFERENCES "public"."deliveries"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "deliveries_open" ON "deliveries" USING btree ("lane") WHERE "deliveries"."ended_at" is null;--> statement-breakpoint
CREATE INDEX "outbox_waiting" ON "outbox" USING btree ("id") WHERE "outbox"."sent_at" is null;--> statement-breakpoint
CREATE INDEX "pull_specs_prefix" ON "pull_specs" USING btree ((left("spec", 512) collate "C"));--> statement-breakpoint
CREATE INDEX "request_states_request" ON "request_states" USING btree ("request_id","id");--> statement-breakpoint
CREATE INDEX "requests_batch" ON "requests" USING btree ("batch_id");--> statement-breakpoint
CREATE INDEX "requests_state" ON "requests" USING btree ("state","id");--> statement-breakpoint
CREATE INDEX "requests_type" ON "requests" USING btree ("type","id");--> statement-breakpoint
CREATE INDEX "requests_user_hash" ON "requests" USING btree (md5("user"),"id");--> statement-breakpoint
CREATE INDEX "requests_from_index_hash" ON "requests" USING btree (md5("from_index"),"id");--> statement-breakpoint
CREATE INDEX "requests_from_index_prefix" ON "requests" USING btree ((left("from_index", 512) collate "C"),"id");--> statement-breakpoint
CREATE INDEX "requests_index_image_hash" ON "requests" USING btree (md5("index_image"),"id");--> statement-breakpoint
CREATE INDEX "requests_delivery" ON "requests" USING btree ("delivery_id");--> statement-breakpoint
CREATE INDEX "requests_lane_waiting" ON "requests" USING btree ("lane","id") WHERE "requests"."state" = 'in_progress';