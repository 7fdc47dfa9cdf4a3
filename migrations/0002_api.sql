CREATE TABLE "api_tokens" (
	"id" serial PRIMARY KEY NOT NULL,
	"digest" "bytea" NOT NULL,
	"user" text NOT NULL,
	"groups" text[] NOT NULL,
	"created_at" timestamp(6) with time zone DEFAULT now() NOT NULL,
	"expires_at" timestamp(6) with time zone,
	"revoked_at" timestamp(6) with time zone,
	CONSTRAINT "api_tokens_digest_unique" UNIQUE("digest")
);
--> statement-breakpoint
CREATE TABLE "idempotency_keys" (
	"digest" "bytea" PRIMARY KEY NOT NULL,
	"fingerprint" "bytea" NOT NULL,
	"answer" text,
	"expires_at" timestamp(6) with time zone NOT NULL
);
--> statement-breakpoint
ALTER TABLE "requests" ADD COLUMN "submitted" timestamp(6) with time zone DEFAULT now() NOT NULL;--> statement-breakpoint
ALTER TABLE "requests" ADD COLUMN "completed" timestamp(6) with time zone;--> statement-breakpoint
ALTER TABLE "requests" ADD COLUMN "submit_xid" "xid8" DEFAULT pg_current_xact_id() NOT NULL;--> statement-breakpoint
ALTER TABLE "requests" ADD COLUMN "final_xid" "xid8";--> statement-breakpoint
CREATE INDEX "idempotency_keys_expiry" ON "idempotency_keys" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "requests_submitted" ON "requests" USING btree ("submitted","id");--> statement-breakpoint
CREATE INDEX "requests_updated" ON "requests" USING btree ("updated","id");--> statement-breakpoint
CREATE INDEX "requests_completed" ON "requests" USING btree ("completed","id");--> statement-breakpoint
CREATE INDEX "requests_submit_xid" ON "requests" USING btree ("submit_xid");--> statement-breakpoint
CREATE INDEX "requests_final_xid" ON "requests" USING btree ("final_xid");--> statement-breakpoint
CREATE INDEX "requests_fbc_fragments" ON "requests" USING gin (("payload" -> 'fbc_fragments') jsonb_path_ops) WHERE "requests"."type" = 'fbc-operations';