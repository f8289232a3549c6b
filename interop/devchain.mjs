// Uses a devchain as any application would: connects, reads, subscribes, signs with all three schemes, waits for
// finality, batches, fails by name, estimates fees, and follows a runtime upgrade.
//
// Argument: the WebSocket URL of a chain whose blocks come at once and are final one block later.
// Standard output: JSON of what was seen. Any broken expectation ends the script with an error.
import assert from 'node:assert/strict';
import { ApiPromise, WsProvider, Keyring, HttpProvider } from '@polkadot/api';
import { stringToHex, u8aToHex } from '@polkadot/util';
import { cryptoWaitReady } from '@polkadot/util-crypto';

const url = process.argv[2];
console.log = console.error; // standard output is for the result
await cryptoWaitReady();
const api = await ApiPromise.create({ provider: new WsProvider(url), noInitWarn: true });
const seen = {};
const pairs = ['sr25519', 'ed25519', 'ecdsa'].map((type) => new Keyring({ type, ss58Format: 42 }).addFromUri('//Alice'));
const bob = new Keyring({ type: 'sr25519', ss58Format: 42 }).addFromUri('//Bob');

// Chain and metadata.
seen.chain = (await api.rpc.system.chain()).toString();
assert.equal(api.runtimeVersion.specName.toString(), 'peaq-node');
assert.deepEqual(api.registry.chainTokens, ['PEAQ']);
assert.deepEqual(api.registry.chainDecimals, [18]);
assert.deepEqual(api.registry.signedExtensions.slice(0, 7), ['CheckSpecVersion', 'CheckTxVersion', 'CheckGenesis',
  'CheckMortality', 'CheckNonce', 'CheckWeight', 'ChargeTransactionPayment']);
assert.equal(api.consts.balances.existentialDeposit.toNumber(), 500);
assert.equal(api.tx.peaqRbac.assignUserToGroup.meta.index.toNumber(), 24);
seen.metadataVersion = api.runtimeMetadata.version;

// Balances.
const before = await api.query.system.account(bob.address);
assert.equal(before.data.free.toString(), '1000000000000000000000000');

// Subscriptions: heads, storage, events.
const heads = [];
const finals = [];
const balances = [];
const events = [];
await api.rpc.chain.subscribeNewHeads((h) => heads.push(h.number.toNumber()));
await api.rpc.chain.subscribeFinalizedHeads((h) => finals.push(h.number.toNumber()));
await api.query.system.account(bob.address, (a) => balances.push(a.data.free.toString()));
await api.query.system.events((all) => all.forEach(({ event }) => events.push(`${event.section}.${event.method}`)));

// A transaction, followed until it is final. Finality is a block behind, so another block is asked for.
function send(tx, pair, options = {}) {
  return new Promise((resolve, reject) => {
    const states = [];
    tx.signAndSend(pair, options, ({ status, events, dispatchError, txHash }) => {
      states.push(status.type);
      if (status.isInBlock) api.rpc.state.getRuntimeVersion().then(() => newBlock()).catch(reject);
      if (status.isFinalized) resolve({ states, events, dispatchError, txHash, block: status.asFinalized });
      if (status.isError) reject(new Error(`transaction is ${status.type}`));
    }).catch(reject);
  });
}
const newBlock = () => api._rpcCore.provider.send('dev_newBlock', []);

// All three schemes.
seen.schemes = {};
for (const pair of pairs) {
  const r = await send(api.tx.balances.transferKeepAlive(bob.address, 1_000_000n), pair);
  assert.equal(r.dispatchError, undefined);
  assert.ok(r.events.some(({ event }) => api.events.balances.Transfer.is(event)));
  seen.schemes[pair.type] = r.states;
}
const after = await api.query.system.account(bob.address);
assert.equal(after.data.free.sub(before.data.free).toString(), '3000000');

// A DID attribute: mortal by default, storage by key and by entries, the runtime API.
const [alice] = pairs;
const added = await send(api.tx.peaqDid.addAttribute(alice.address, 'a name', '0x0102', 100), alice);
assert.ok(added.events.some(({ event }) => api.events.peaqDid.AttributeAdded.is(event)));
const entries = await api.query.peaqDid.attributeStore.entries();
assert.equal(entries.length, 1);
const [storageKey, attribute] = entries[0];
assert.equal(attribute.value.toHex(), '0x0102');
assert.equal((await api.query.peaqDid.attributeStore(storageKey.args[0])).toHex(), attribute.toHex());
const owners = await api.query.peaqDid.ownerStore.keys();
assert.equal(owners.length, 1);
seen.runtimeApis = Object.keys(api.call).sort();
const read = await api.call.peaqDIDApi.read(alice.address, 'a name');
assert.equal(read.unwrap().value.toHex(), '0x0102');

// batch_all sets RBAC up; the runtime API tells.
const id = (n) => '0x' + n.toString(16).padStart(64, '0');
const batch = await send(api.tx.utility.batchAll([
  api.tx.peaqRbac.addGroup(id(1), 'group'), api.tx.peaqRbac.addRole(id(2), 'role'), api.tx.peaqRbac.addPermission(id(3), 'perm'),
  api.tx.peaqRbac.assignPermissionToRole(id(3), id(2)), api.tx.peaqRbac.assignRoleToGroup(id(2), id(1)),
  api.tx.peaqRbac.assignUserToGroup(u8aToHex(bob.publicKey), id(1))]), alice);
assert.equal(batch.events.filter(({ event }) => api.events.utility.ItemCompleted.is(event)).length, 6);
const permissions = await api.call.peaqRBACRuntimeApi.fetchUserPermissions(alice.address, u8aToHex(bob.publicKey));
assert.equal(permissions.asOk.length, 1);

// A failure by name, and nothing of the batch stays.
const failed = await send(api.tx.utility.batchAll([
  api.tx.balances.transferKeepAlive(bob.address, 5), api.tx.peaqRbac.addGroup(id(1), 'again')]), alice);
const error = api.registry.findMetaError(failed.dispatchError.asModule);
seen.error = `${error.section}.${error.name}`;
assert.equal((await api.query.system.account(bob.address)).data.free.sub(before.data.free).toString(), '3000000');

// Fees: the estimate, and what was taken.
const tx = api.tx.system.remarkWithEvent(stringToHex('fee'));
const info = await tx.paymentInfo(alice);
const paid = await send(tx, alice, { tip: 7 });
const fee = paid.events.map(({ event }) => event).find((e) => api.events.transactionPayment.TransactionFeePaid.is(e)).data;
seen.fee = { estimated: info.partialFee.toString(), paid: fee.actualFee.toString(), tip: fee.tip.toString() };

// Refusals.
const nonce = (await api.rpc.system.accountNextIndex(alice.address)).toNumber();
await assert.rejects(api.tx.system.remark('0x').signAndSend(alice, { nonce: 0 }), /1010.*outdated/);
const poor = new Keyring({ type: 'sr25519' }).addFromUri('//Poor');
await assert.rejects(api.tx.system.remark('0x').signAndSend(poor), /1010.*pay some fees/);
assert.equal((await api.rpc.system.accountNextIndex(alice.address)).toNumber(), nonce);

// History: the state at the block of the first transfer.
const old = await api.at(await api.rpc.chain.getBlockHash(1));
assert.notEqual((await old.query.system.account(bob.address)).data.free.toString(), after.data.free.toString());
const block = await api.rpc.chain.getBlock(paid.block);
assert.equal(block.block.extrinsics.length, 2);
assert.equal(block.block.extrinsics[1].method.toHuman().method, 'remarkWithEvent');
assert.equal(block.block.header.hash.toHex(), paid.block.toHex());

// An upgrade in mid-run, with one more signed extension.
const upgraded = new Promise((resolve) => api.rpc.state.subscribeRuntimeVersion((v) => v.specVersion.eq(2) && resolve()));
await api._rpcCore.provider.send('dev_upgrade', [{ metadataHash: true }]);
await upgraded;
for (let i = 0; i < 200 && !api.registry.signedExtensions.includes('CheckMetadataHash'); i++) await new Promise((r) => setTimeout(r, 25));
assert.ok(api.registry.signedExtensions.includes('CheckMetadataHash'));
const later = await send(api.tx.balances.transferKeepAlive(bob.address, 1), alice);
assert.equal(later.dispatchError, undefined);

Object.assign(seen, { heads, finals, balances, events });
assert.ok(heads.length >= 9 && finals.length >= 8);
const web = await ApiPromise.create({ provider: new HttpProvider(url.replace('ws:', 'http:')), noInitWarn: true });
seen.overHttp = (await web.query.system.account(bob.address)).data.free.toString();
await web.disconnect();
await api.disconnect();
process.stdout.write(JSON.stringify(seen), () => process.exit(0));
