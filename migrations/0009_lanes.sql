CREATE TABLE "lanes" (
	"id" serial PRIMARY KEY NOT NULL,
	"repository" text NOT NULL,
	"branch" text NOT NULL,
	CONSTRAINT "lanes_repository_branch" UNIQUE("repository","branch")
);
--> statement-breakpoint
ALTER TABLE "deliveries" ADD COLUMN "lane_id" integer;--> statement-breakpoint
ALTER TABLE "deliveries" ADD COLUMN "rebuilds" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "requests" ADD COLUMN "resolving_since" timestamp(6) with time zone;--> statement-breakpoint
ALTER TABLE "requests" ADD COLUMN "lane_id" integer;--> statement-breakpoint
ALTER TABLE "deliveries" ADD CONSTRAINT "deliveries_lane_id_lanes_id_fk" FOREIGN KEY ("lane_id") REFERENCES "public"."lanes"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "requests" ADD CONSTRAINT "requests_lane_id_lanes_id_fk" FOREIGN KEY ("lane_id") REFERENCES "public"."lanes"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "requests_waiting" ON "requests" USING btree ("lane_id","id") WHERE "requests"."state" = 'in_progress' and "requests"."delivery_id" is null;
--> statement-breakpoint
-- Deliveries that are not over keep their lane; its name was the repository and the branch.
INSERT INTO "lanes" ("repository", "branch")
SELECT DISTINCT coalesce(plan ->> 'repository', regexp_replace(lane, ' [^ ]*$', '')), coalesce(plan ->> 'branch', substring(lane from '[^ ]*$'))
FROM "deliveries" WHERE lane IS NOT NULL AND ended_at IS NULL;
--> statement-breakpoint
UPDATE "deliveries" SET "lane_id" = lanes.id FROM "lanes"
WHERE lane IS NOT NULL AND ended_at IS NULL
  AND lanes.repository = coalesce(plan ->> 'repository', regexp_replace(lane, ' [^ ]*$', ''))
  AND lanes.branch = coalesce(plan ->> 'branch', substring(lane from '[^ ]*$'));
--> statement-breakpoint
UPDATE "requests" SET "lane_id" = deliveries.lane_id FROM "deliveries"
WHERE deliveries.id = requests.delivery_id AND deliveries.lane_id IS NOT NULL;
--> statement-breakpoint
DROP INDEX "deliveries_open";--> statement-breakpoint
CREATE INDEX "deliveries_open" ON "deliveries" USING btree ("lane_id") WHERE "deliveries"."ended_at" is null;--> statement-breakpoint
ALTER TABLE "deliveries" DROP COLUMN "lane";--> statement-breakpoint
ALTER TABLE "requests" DROP COLUMN "lane";--> statement-breakpoint
ALTER TABLE "requests" DROP COLUMN "cancelled_at";
