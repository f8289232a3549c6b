// Opens, makes and checks keys with the keyring of polkadot.js.
//
// Standard input:  {"open": [{wallet, passphrase?, message, signature}], "make": [{uri, type, passphrase?, message}]}
// Standard output: {"open": [result], "make": [result]}, where a result is
//   {address, publicKey, signature}  the account, and the keyring's signature of the message
//   valid     (open) whether the given signature is one of the account
//   wallet    the account's JSON, exported again (make: encrypted if there is a passphrase)
//   error     why the keyring refused, instead of all of these
// Messages, keys and signatures are 0x-hex.
import { Keyring } from '@polkadot/keyring';
import { hexToU8a, u8aToHex } from '@polkadot/util';
import { cryptoWaitReady } from '@polkadot/util-crypto';
import { readFileSync } from 'node:fs';

await cryptoWaitReady();
const keyring = new Keyring({ ss58Format: 42 });

function describe(pair, message, passphrase) {
  return {
    address: pair.address,
    publicKey: u8aToHex(pair.publicKey),
    signature: u8aToHex(pair.sign(hexToU8a(message))),
    wallet: pair.toJson(passphrase)
  };
}

function open({ wallet, passphrase, message, signature }) {
  const pair = keyring.createFromJson(wallet);
  pair.unlock(passphrase);
  const valid = pair.verify(hexToU8a(message), hexToU8a(signature), pair.publicKey);
  return { ...describe(pair, message), valid };
}

function make({ uri, type, passphrase, message }) {
  return describe(keyring.createFromUri(uri, { name: 'from the keyring', whenCreated: 1700000000000 }, type), message, passphrase);
}

function attempt(step) {
  return (input) => {
    try {
      return step(input);
    } catch (err) {
      return { error: String(err) };
    }
  };
}

const input = JSON.parse(readFileSync(0, 'utf8'));
console.log(JSON.stringify({
  open: (input.open ?? []).map(attempt(open)),
  make: (input.make ?? []).map(attempt(make))
}));
