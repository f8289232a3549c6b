// bench_events.mjs decodes recorded System.Events with the polkadot.js API and prints what an event costs, for
// comparison with BenchmarkDecodeEvents and BenchmarkDecodeAllEvents of the package metadata.
//
//   node bench_events.mjs metadata-v14.scale vectors.json
//
// It prints a JSON object a line, {name, ns_per_op, ns_per_event, events}, for the first block and for all blocks. Of the
// packages it needs @polkadot/types only, which @polkadot/api brings along.
import { readFileSync } from 'node:fs';
import { TypeRegistry, Metadata } from '@polkadot/types';

const [metadataFile, vectorsFile] = process.argv.slice(2);
const registry = new TypeRegistry();
registry.setMetadata(new Metadata(registry, `0x${readFileSync(metadataFile).toString('hex')}`));

const blocks = JSON.parse(readFileSync(vectorsFile, 'utf8')).blocks
  .map((b) => ({ bytes: Uint8Array.from(Buffer.from(b.eventsHex.slice(2), 'hex')), count: b.events.length }));

function decode (list) {
  let n = 0;
  for (const b of list) {
    const events = registry.createType('Vec<EventRecord>', b.bytes);
    if (events.length !== b.count) throw new Error(`decoded ${events.length} events of ${b.count}`);
    n += events.length;
  }
  return n;
}

function measure (name, list) {
  const run = (seconds) => {
    const start = process.hrtime.bigint();
    let ops = 0, events = 0;
    while (process.hrtime.bigint() - start < BigInt(seconds * 1e9)) {
      events += decode(list);
      ops++;
    }
    const ns = Number(process.hrtime.bigint() - start);
    return { name, ns_per_op: Math.round(ns / ops), ns_per_event: Math.round(ns / events), events };
  };
  run(2); // warm the compiler up
  console.log(JSON.stringify(run(3)));
}

measure('DecodeEvents', blocks.slice(0, 1));
measure('DecodeAllEvents', blocks);
