/** The configuration: one schema, loaded from YAML, secrets resolved, validated, frozen. */
import { z } from 'zod';

const seconds = (fallback: number) => z.number().positive().max(86_400).default(fallback);

/** Every key there is. Descriptions become the JSON Schema's, for editors. */
export const configSchema = z.strictObject({
  assistant: z
    .strictObject({
      name: z.string().min(1).max(60).default('Kimi').describe('What the assistant calls itself'),
      persona: z
        .string()
        .max(2_000)
        .default('')
        .describe('Added to the system prompt of models that can bear it'),
    })
    .prefault({}),
  models: z
    .strictObject({
      chat: z
        .union([z.string(), z.array(z.string()).min(1)])
        .default('auto')
        .describe('auto, provider/model, or a list that is tried in order'),
      embedding: z.string().default('auto').describe('auto, none, or provider/model'),
      concurrency: z
        .number()
        .int()
        .min(1)
        .max(256)
        .default(4)
        .describe('Model requests in flight at once, all conversations together'),
      firstTokenSeconds: seconds(120).describe('How long a model may take to its first token'),
      silenceSeconds: seconds(60).describe('How long a model may pause between two tokens'),
      providers: z
        .strictObject({
          ollama: z
            .strictObject({
              baseUrl: z.url().default('http://127.0.0.1:11434'),
              keepAlive: z.string().default('30m').describe('How long Ollama keeps a model loaded after use'),
            })
            .prefault({}),
          embedded: z
            .strictObject({
              path: z.string().default('~/.kimi/models').describe('Folder of GGUF files'),
              download: z
                .enum(['starter', 'never'])
                .default('starter')
                .describe('Whether a small model is fetched where nothing else can chat'),
              keepAliveSeconds: seconds(600).describe(
                'How long the model process stays after its last answer',
              ),
              threads: z.number().int().min(1).optional().describe('Default: the cores this process may use'),
              gpu: z.boolean().default(true),
            })
            .prefault({}),
        })
        .prefault({}),
    })
    .prefault({}),
  channels: z
    .strictObject({
      telegram: z
        .strictObject({
          token: z.string().optional().describe('From @BotFather; absent or empty: the channel is off'),
          apiRoot: z.url().default('https://api.telegram.org'),
        })
        .prefault({}),
    })
    .prefault({}),
  access: z
    .strictObject({
      policy: z
        .enum(['pairing', 'allowlist', 'open'])
        .default('pairing')
        .describe('What happens to people who are not known yet'),
      allow: z.array(z.string()).default([]).describe('People let in without pairing: telegram:1001'),
    })
    .prefault({}),
  log: z
    .strictObject({
      level: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
    })
    .prefault({}),
});

/** The validated configuration, frozen all the way down. */
export type Config = z.infer<typeof configSchema>;
