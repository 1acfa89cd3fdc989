/**
 * A process that asks a model, for tests of what becomes of the model process with its parent. Arguments: folder,
 * model, and `stay` to go on living after the answer. Prints the model process's id.
 */
import { configSchema } from '../../src/config.ts';
import { createLog } from '../../src/log.ts';
import { createEmbeddedProvider } from '../../src/models/embedded/provider.ts';

const [folder = '', name = '', then] = process.argv.slice(2);
const { embedded } = configSchema.parse({
  models: { providers: { embedded: { path: folder, gpu: false } } },
}).models.providers;
const log = createLog({ level: 'silent', secrets: () => [] });
const provider = createEmbeddedProvider({ settings: () => embedded, home: folder, log });
const { language } = await provider.chat(name);
await language.doGenerate({
  prompt: [{ role: 'user', content: [{ type: 'text', text: 'Hello' }] }],
  maxOutputTokens: 3,
});
console.log(provider.pid);
if (then === 'stay') setInterval(() => undefined, 1_000);
