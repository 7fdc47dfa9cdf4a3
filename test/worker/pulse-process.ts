import { holdPulse } from '../../src/worker/liveness.ts';

/** A process that holds a pool's liveness lock and says when it has it and when it has lost it. */
const [databaseUrl = '', poolId = '', silence = ''] = process.argv.slice(2);
await holdPulse(databaseUrl, poolId, () => process.stdout.write('lost\n'), Number(silence));
process.stdout.write('held\n');
