// Decodes values by the types of runtime metadata with the polkadot.js API.
//
// Standard input:  {"metadata": "0x…", "values": [{"type": id, "bytes": "0x…"}]}
// Standard output: a list of {"json": value} or {"error": text}, one for each value.
import { readFileSync } from 'node:fs';
import { TypeRegistry, Metadata } from '@polkadot/types';

const input = JSON.parse(readFileSync(0, 'utf8'));
const registry = new TypeRegistry();
registry.setMetadata(new Metadata(registry, input.metadata));

console.log(JSON.stringify(input.values.map(({ type, bytes }) => {
  try {
    const raw = Uint8Array.from(Buffer.from(bytes.slice(2), 'hex'));
    const value = registry.createType(registry.createLookupType(type), raw);
    return { json: value.toJSON() };
  } catch (error) {
    return { error: String(error.message).slice(0, 300) };
  }
})));
