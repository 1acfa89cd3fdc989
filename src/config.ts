/** The configuration's schema and type. src/config/ loads it from YAML, resolves secrets, watches it. */
import { z } from 'zod';

const seconds = (fallback: number) => z.number().positive().max(86_400).default(fallback);

/** An address without a trailing slash, so that paths can be appended. */
const address = (fallback: string) =>
  z
    .url({ protocol: /^https?$/ })
    .overwrite((url) => url.replace(/\/+$/, ''))
    .default(fallback);

/** A value that never belongs in a log. `writeOnly` is JSON Schema's word for it, and what marks it for redaction. */
const secret = (description: string) => z.string().optional().describe(description).meta({ writeOnly: true });

const chatModel = z
  .string()
  .regex(/^(auto|[a-z0-9-]+\/\S+)$/)
  .meta({ examples: ['auto', 'ollama/qwen3:8b'] });

/** Every key there is. Descriptions become the JSON Schema's, for editors, and examples end the errors. */
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
        .union([chatModel, z.array(chatModel).min(1)])
        .default('auto')
        .describe('auto, provider/model, or a list of these that is tried in order'),
      embedding: z
        .string()
        .regex(/^(auto|none|[a-z0-9-]+\/\S+)$/)
        .default('auto')
        .describe('auto, none, or provider/model')
        .meta({ examples: ['auto', 'none', 'ollama/nomic-embed-text'] }),
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
              baseUrl: address('http://127.0.0.1:11434').describe('Where Ollama answers'),
              keepAlive: z
                .string()
                // Go's durations, which is what Ollama parses: a unit is required.
                .regex(/^-?(\d+(\.\d+)?(ms|s|m|h))+$/)
                .default('30m')
                .describe('How long Ollama keeps a model loaded after use; negative is for ever')
                .meta({ examples: ['90s', '30m', '1h30m'] }),
            })
            .prefault({}),
          embedded: z
            .strictObject({
              path: z.string().min(1).default('~/.kimi/models').describe('Folder of GGUF files'),
              download: z
                .enum(['starter', 'never'])
                .default('starter')
                .describe('Whether a small model is fetched where nothing else can chat'),
              keepAliveSeconds: seconds(600).describe(
                'How long the model process stays after its last answer',
              ),
              threads: z.number().int().min(1).optional().describe('Default: the cores this process may use'),
              gpu: z.boolean().default(true).describe('Whether a GPU is used where there is one'),
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
          token: secret('From @BotFather; absent or empty: the channel is off'),
          apiRoot: address('https://api.telegram.org').describe(
            'Another one for a self-hosted Bot API server',
          ),
        })
        .prefault({}),
      slack: z
        .strictObject({
          botToken: secret('xoxb-…, of the app as it is installed; absent or empty: the channel is off'),
          appToken: secret('xapp-…, with connections:write, for Socket Mode'),
          apiUrl: address('https://slack.com/api').describe('Where the Web API is'),
        })
        .prefault({}),
      discord: z
        .strictObject({
          token: secret("The bot's; absent or empty: the channel is off"),
          apiUrl: address('https://discord.com/api').describe('Where the REST API is, without its version'),
        })
        .prefault({}),
      maxFileMegabytes: z
        .number()
        .positive()
        .max(2_000)
        .default(20)
        .describe('Larger files that people send are not taken in'),
      reactions: z
        .boolean()
        .default(true)
        .describe('Whether a message that takes more than 2 s to answer gets a reaction meanwhile'),
    })
    .prefault({}),
  access: z
    .strictObject({
      policy: z
        .enum(['pairing', 'allowlist', 'open'])
        .default('pairing')
        .describe('What happens to people who are not known yet'),
      allow: z
        .array(
          z
            .string()
            .regex(/^[a-z0-9-]+:\S+$/)
            .meta({ examples: ['telegram:1001'] }),
        )
        .default([])
        .describe('People let in without pairing'),
      rules: z
        .array(
          z.strictObject({
            match: z
              .string()
              .regex(/^[a-z0-9-]+(:\S+)?$/)
              .describe('A channel, a room or a person')
              .meta({ examples: ['slack', 'slack:C0123', 'telegram:1001'] }),
            policy: z.enum(['pairing', 'allowlist', 'open', 'deny']).optional(),
            mention: z.boolean().optional().describe('Whether it must be mentioned in a group to answer'),
          }),
        )
        .default([])
        .describe("Exceptions: a person's rule counts more than a room's, a room's more than a channel's"),
    })
    .prefault({}),
  log: z
    .strictObject({
      level: z
        .enum(['debug', 'info', 'warn', 'error', 'silent'])
        .default('info')
        .describe('How much the daemon writes to its log'),
    })
    .prefault({}),
});

/** The validated configuration, frozen all the way down. */
export type Config = z.infer<typeof configSchema>;

/** The schema as JSON Schema (draft 2020-12), as a file may be written: everything is optional. */
export function configJsonSchema(): z.core.JSONSchema.BaseSchema {
  return z.toJSONSchema(configSchema, { io: 'input' });
}
