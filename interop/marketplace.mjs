// Publishes devices as any application could: documents made here from the format's description, signed by the keyring and written by
// the polkadot.js API. Nothing of iod has a part in it.
//
// Arguments: the chain's WebSocket URL and a node id. Standard input: lines that say what to do:
//   publish  //Alice writes a signed document with two streams, //Bob an unsigned one of the older marketplace's form
//   disturb  //Bob overwrites //Alice's document with something else
//   renew    //Alice writes a newer one, with another price
//   remove   //Alice removes hers
// Standard output: for each a line of JSON {alice, bob, block, extrinsic}: addresses, and where the transaction is, which is final then.
// Blocks come by themselves. The script ends with its input.
import { createInterface } from 'node:readline';
import { ApiPromise, WsProvider, Keyring } from '@polkadot/api';
import { u8aConcat, u8aToHex, stringToU8a } from '@polkadot/util';
import { blake2AsU8a, cryptoWaitReady } from '@polkadot/util-crypto';

const [url, node] = process.argv.slice(2);
console.log = console.error; // standard output is for the result
await cryptoWaitReady();
const keyring = new Keyring({ type: 'sr25519', ss58Format: 42 });
const [alice, bob] = ['//Alice', '//Bob'].map((uri) => keyring.addFromUri(uri));
const name = 'staex-iod-device';
const did = (pair) => `did:peaq:${pair.address}`;

// Protobuf: fields are a number with a wire type, and a varint or bytes with their length before them.
const varint = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...varint(Math.floor(n / 128))]);
const number = (field, n) => (n === 0 ? [] : [...varint(field * 8), ...varint(n)]);
const bytes = (field, b) => (b.length === 0 ? [] : [...varint(field * 8 + 2), ...varint(b.length), ...b]);
const text = (field, s) => bytes(field, stringToU8a(s));

function service(pair, { type, id = type, endpoint = '', data = '' }) {
  return bytes(5, [...text(1, `${did(pair)}#${id}`), ...text(2, type), ...text(3, endpoint), ...text(4, data)]);
}

// signed puts the signature, field 4, where it belongs: between the others in the order of their numbers.
function signed(pair, services) {
  const head = [...text(1, did(pair)), ...text(2, did(pair))];
  const tail = services.flatMap((s) => service(pair, s));
  const digest = blake2AsU8a(u8aConcat('iod/document/1\0', `${did(pair)}\0`, `${name}\0`, new Uint8Array([...head, ...tail])), 256);
  const signature = u8aToHex(pair.sign(digest));
  const key = 1; // sr25519
  return u8aToHex(new Uint8Array([...head, ...bytes(4, [...number(1, key), ...text(2, did(pair)), ...text(3, signature)]), ...tail]));
}

function weather(price, sequence) {
  const stream = (id, about) => ({ type: 'iod_stream', id, endpoint: `iod://${node}/${id}`, data: JSON.stringify(about) });
  return signed(alice, [
    { type: 'staex_iod_version', data: 'v1' }, { type: 'data_type', data: 'weather' }, { type: 'location', data: '47.3769,8.5417' },
    { type: 'staex_mcc_id', data: node }, { type: 'iod_sequence', data: String(sequence) },
    { type: 'iod_relay', endpoint: `tls://relay.example:7777/${node}` },
    stream('wind', { kind: 'mqtt', data_type: 'wind_speed', unit: 'm/s', topics: ['from/polkadot-js/#'], price, period: '30d' }),
    stream('counts', { kind: 'http', data_type: 'traffic', unit: '1/h', description: 'written by polkadot.js' }),
  ]);
}

const older = u8aToHex(new Uint8Array([...text(1, did(bob)), ...text(2, did(bob)), ...[
  { type: 'staex_iod_version', data: 'v1' }, { type: 'data_type', data: 'noise' }, { type: 'location', data: '-33.92,18.42' },
  { type: 'price_access', data: '3.5' }, { type: 'price_pin', data: '1' }, { type: 'mqtt_topic', data: 'street/noise' },
].flatMap((s) => service(bob, s))]));

const api = await ApiPromise.create({ provider: new WsProvider(url), noInitWarn: true });

// send resolves when a transaction is final and did not fail.
function send(tx, pair) {
  return new Promise((resolve, reject) => {
    tx.signAndSend(pair, ({ status, dispatchError, txIndex, isError }) => {
      if (dispatchError) reject(new Error(dispatchError.toString()));
      if (isError) reject(new Error(`transaction is ${status.type}`));
      if (status.isFinalized) api.rpc.chain.getHeader(status.asFinalized).then((h) => resolve({ block: h.number.toNumber(), extrinsic: txIndex }), reject);
    }).catch(reject);
  });
}

const { addAttribute, updateAttribute, removeAttribute } = api.tx.peaqDid;
const now = async () => (await api.query.timestamp.now()).toNumber();
const does = {
  publish: async () => {
    const mine = addAttribute(alice.address, name, weather('42.03995', await now()), null);
    const [at] = await Promise.all([send(mine, alice), send(addAttribute(bob.address, name, older, null), bob)]);
    return at;
  },
  // Whoever has added any attribute to a DID may change all of them.
  disturb: () => send(api.tx.utility.batchAll([addAttribute(alice.address, 'mine', '0x00', null), updateAttribute(alice.address, name, '0xdeadbeef', null)]), bob),
  renew: async () => send(updateAttribute(alice.address, name, weather('7', await now()), null), alice),
  remove: () => send(removeAttribute(alice.address, name), alice),
};
for await (const what of createInterface({ input: process.stdin })) {
  const at = await does[what]();
  process.stdout.write(JSON.stringify({ alice: alice.address, bob: bob.address, ...at }) + '\n');
}
process.exit(0);
