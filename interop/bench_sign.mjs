// bench_sign.mjs signs and encodes a transfer with the polkadot.js API and prints what one costs, for comparison with
// BenchmarkSignAndEncode of the package chain, which makes the same transaction.
//
//   node bench_sign.mjs metadata-v14.scale
//
// It prints a JSON object {name, ns_per_op, ops}. As in that benchmark the call is made from its arguments each time, the nonce
// changes, and the result is the extrinsic's bytes.
import { readFileSync } from 'node:fs';
import { TypeRegistry, Metadata } from '@polkadot/types';
import { Keyring } from '@polkadot/keyring';
import { cryptoWaitReady } from '@polkadot/util-crypto';
import { expandMetadata } from '@polkadot/types';

await cryptoWaitReady();
const registry = new TypeRegistry();
const metadata = new Metadata(registry, `0x${readFileSync(process.argv[2]).toString('hex')}`);
registry.setMetadata(metadata);
const { tx } = expandMetadata(registry, metadata);
const alice = new Keyring({ type: 'sr25519' }).addFromUri('//Alice');
const dest = `0x01${'00'.repeat(31)}`;
const genesisHash = `0x${'45'.repeat(32)}`;
const blockHash = `0x01${'00'.repeat(31)}`;
const runtimeVersion = { specVersion: 1, transactionVersion: 1 };

function once (nonce) {
  const call = tx.balances.transferKeepAlive({ Id: dest }, 1000000);
  const extrinsic = registry.createType('Extrinsic', call, { version: 4 });
  const era = registry.createType('ExtrinsicEra', { current: 7, period: 64 });
  extrinsic.sign(alice, { blockHash, era, genesisHash, nonce, runtimeVersion, tip: 0 });
  const bytes = extrinsic.toU8a();
  if (bytes.length < 140) throw new Error(`extrinsic of ${bytes.length} bytes`);
}

function run (seconds) {
  const start = process.hrtime.bigint();
  let ops = 0;
  while (process.hrtime.bigint() - start < BigInt(seconds * 1e9)) once(ops++);
  const ns = Number(process.hrtime.bigint() - start);
  return { name: 'SignAndEncode', ns_per_op: Math.round(ns / ops), ops };
}

run(2); // warm the compiler up
console.log(JSON.stringify(run(3)));
