// Writes axe-core, which looks for barriers in a page, to standard output: a browser runs it.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const require = createRequire(import.meta.url);
process.stdout.write(readFileSync(require.resolve('axe-core/axe.min.js')));
