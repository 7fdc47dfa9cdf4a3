import { and, desc, eq, sql } from 'drizzle-orm';
import { z } from 'zod';
import type { Database } from './pool.ts';
import { deliveries, deliverySteps } from './schema.ts';

/** An image that a delivery has made: its plan, and the digests of its requests' own artifacts by request. */
export interface MadeImage {
  plan: unknown;
  artifacts: Record<string, string>;
}

const Artifacts = z.object({ digests: z.record(z.string(), z.string()) });

/** What made the image of this digest; of several deliveries the newest. Null where none that is complete did. */
export async function makerOf(db: Database, digest: string): Promise<MadeImage | null> {
  const [made] = await db
    .select({ id: deliveries.id, plan: deliveries.plan })
    .from(deliverySteps)
    .innerJoin(deliveries, eq(deliveries.id, deliverySteps.deliveryId))
    .where(
      and(
        eq(deliverySteps.name, 'stage'),
        sql`${deliverySteps.outcome} ->> 'digest' = ${digest}`,
        eq(deliveries.state, 'complete'),
      ),
    )
    .orderBy(desc(deliveries.id))
    .limit(1);
  if (made === undefined) return null;
  const [stored] = await db
    .select({ outcome: deliverySteps.outcome })
    .from(deliverySteps)
    .where(and(eq(deliverySteps.deliveryId, made.id), eq(deliverySteps.name, 'artifact')))
    .orderBy(desc(deliverySteps.seq))
    .limit(1);
  const artifacts = Artifacts.safeParse(stored?.outcome);
  return { plan: made.plan, artifacts: artifacts.success ? artifacts.data.digests : {} };
}
