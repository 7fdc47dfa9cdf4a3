/** Announces until it is killed: what a worker does beside its jobs. Usage: node announce.ts CONFIG */
import { loadConfig } from '../../src/config/load.ts';
import { openDatabase } from '../../src/db/pool.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { startMessages } from '../../src/worker/messages.ts';

const config = loadConfig(process.argv[2] ?? '');
startMessages(config, openDatabase(config.databaseUrl), createLog('warn', 'announce'));
