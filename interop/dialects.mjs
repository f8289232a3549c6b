// Checks documents with validators that others wrote: {"td": [...], "asyncapi": [...], "did": [...]} on standard input; what is wrong, one finding
// a line, on standard output. Nothing is fetched: contexts come from packages.
//
//	td        the official JSON Schema of Thing Description 1.1, and the assertions of the Thing Description playground
//	asyncapi  the AsyncAPI parser
//	did       JSON-LD expansion in safe mode: every term must be defined by the contexts
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const require = createRequire(import.meta.url);
const input = JSON.parse(readFileSync(0, 'utf8'));
const say = (kind, i, text) => console.log(`${kind} ${i}: ${text}`);

if (input.td) {
  const { tdValidator } = require('@thing-description-playground/core');
  for (const [i, td] of input.td.entries()) {
    const log = [];
    const report = await tdValidator(JSON.stringify(td), (line) => log.push(line), { checkDefaults: false, checkJsonLd: false, checkTmConformance: false });
    for (const check of ['json', 'schema']) {
      if (report.report[check] !== 'passed') say('td', i, `${check}: ${report.report[check]}: ${log.join('; ')}`);
    }
    for (const [name, result] of Object.entries(report.details)) {
      if (result === 'failed') say('td', i, `${name}: ${report.detailComments[name]}`);
    }
  }
}

if (input.asyncapi) {
  const { Parser } = require('@asyncapi/parser');
  for (const [i, doc] of input.asyncapi.entries()) {
    const { document, diagnostics } = await new Parser().parse(JSON.stringify(doc));
    for (const d of diagnostics) {
      if (d.severity <= 1) say('asyncapi', i, `${d.code} at ${d.path.join('.')}: ${d.message}`);
    }
    if (!document) say('asyncapi', i, 'no document');
    else if (document.operations().all().some((o) => o.action() !== 'send' || o.channels().all().length !== 1)) say('asyncapi', i, 'an operation is not a sending one of one channel');
  }
}

if (input.did) {
  const jsonld = require('jsonld');
  const known = new Map([...require('did-context').contexts, ...require('ed25519-signature-2020-context').contexts]);
  const documentLoader = async (url) => {
    if (!known.has(url)) throw new Error(`no context ${url}`);
    return { contextUrl: null, document: known.get(url), documentUrl: url };
  };
  for (const [i, doc] of input.did.entries()) {
    try {
      const [expanded] = await jsonld.expand(doc, { documentLoader, safe: true });
      const methods = expanded['https://w3id.org/security#verificationMethod'] ?? [];
      if (expanded['@id'] !== doc.id || methods.length !== (doc.verificationMethod ?? []).length) say('did', i, 'methods were lost');
      for (const m of methods) {
        if (!m['@type']?.[0]?.startsWith('https://w3id.org/security#')) say('did', i, `method of type ${m['@type']}`);
        if (!m['https://w3id.org/security#publicKeyMultibase'] && !m['https://w3id.org/security#blockchainAccountId']) say('did', i, 'a method without a key');
      }
      const services = expanded['https://www.w3.org/ns/did#service']?.length ?? 0;
      if (services !== (doc.service ?? []).length) say('did', i, `${services} services of ${(doc.service ?? []).length}`);
    } catch (e) {
      say('did', i, `${e.message} ${JSON.stringify(e.details ?? '')}`);
    }
  }
}
