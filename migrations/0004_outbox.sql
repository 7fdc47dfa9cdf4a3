DROP INDEX "outbox_waiting";--> statement-breakpoint
ALTER TABLE "batches" ADD COLUMN "base_url" text;--> statement-breakpoint
ALTER TABLE "outbox" ADD COLUMN "state_id" bigint;--> statement-breakpoint
ALTER TABLE "outbox" ADD COLUMN "outcome" jsonb;--> statement-breakpoint
ALTER TABLE "outbox" ADD COLUMN "ends" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "outbox" ADD COLUMN "base_url" text;--> statement-breakpoint
CREATE INDEX "outbox_ends" ON "outbox" USING btree ("request_id") WHERE "outbox"."ends";--> statement-breakpoint
ALTER TABLE "outbox" DROP COLUMN "body";--> statement-breakpoint
ALTER TABLE "outbox" DROP COLUMN "sent_at";