/** What a model is given depends on what it can bear. One table, by size and family. */
import type { ModelInfo, Profile } from './model.ts';

type Row = Omit<Profile, 'starter'>;

/** The rows in order of size; the first whose `below` exceeds the model's parameters is taken. */
const BY_SIZE: readonly { below: number; row: Row }[] = [
  {
    below: 1e9,
    row: {
      name: 'tiny',
      temperature: 0,
      repeatPenalty: 1.1,
      tools: false,
      systemPrompt: 'minimal',
      maxWindow: 4_096,
      maxAnswer: 512,
      uses: ['chat'],
    },
  },
  {
    below: 3e9,
    row: {
      name: 'small',
      temperature: 0.3,
      repeatPenalty: 1.05,
      tools: false,
      systemPrompt: 'short',
      maxWindow: 8_192,
      maxAnswer: 1_024,
      uses: ['chat'],
    },
  },
  {
    below: 6e9,
    row: {
      name: 'small',
      temperature: 0.5,
      tools: true,
      systemPrompt: 'short',
      maxWindow: 8_192,
      maxAnswer: 1_024,
      uses: ['chat', 'distil', 'tools'],
    },
  },
  {
    below: 15e9,
    row: {
      name: 'medium',
      temperature: 0.6,
      topP: 0.95,
      tools: true,
      systemPrompt: 'full',
      maxWindow: 16_384,
      maxAnswer: 2_048,
      uses: ['chat', 'distil', 'tools'],
    },
  },
  {
    below: Number.POSITIVE_INFINITY,
    row: {
      name: 'large',
      temperature: 0.6,
      topP: 0.95,
      tools: true,
      systemPrompt: 'full',
      maxWindow: 32_768,
      maxAnswer: 4_096,
      uses: ['chat', 'distil', 'review', 'tools'],
    },
  },
];

/** Of unknown size: what a model of 3 B bears without harm and one of 70 B without loss that one would notice. */
const UNKNOWN: Row = {
  name: 'medium',
  temperature: 0.5,
  tools: true,
  systemPrompt: 'short',
  maxWindow: 8_192,
  maxAnswer: 1_024,
  uses: ['chat', 'tools'],
};

/**
 * What a family wants differently, from 1 B parameters up. The sampling is the one that its makers publish with the
 * weights; `thinks` doubles the answer's cap, since reasoning is written before the answer and counts.
 */
const BY_FAMILY: readonly { family: RegExp; temperature?: number; topP?: number; thinks?: boolean }[] = [
  { family: /kimi/, temperature: 1, topP: 0.95, thinks: true },
  { family: /deepseek-?r1/, temperature: 0.6, topP: 0.95, thinks: true },
  { family: /gpt-?oss/, temperature: 1, topP: 1, thinks: true },
  { family: /qwen-?3(?!.*(instruct|coder))|qwq/, temperature: 0.6, topP: 0.95, thinks: true },
  { family: /qwen/, temperature: 0.7, topP: 0.8 },
  { family: /gemma/, temperature: 1, topP: 0.95 },
  { family: /mistral|mixtral|magistral|devstral/, temperature: 0.15 },
];

const STARTER = /smollm2?-135m/i;

/** How to use a model, by its size and family. Always an answer: a model that nothing is known of gets a careful one. */
export function profileFor(info: ModelInfo): Profile {
  const { parameters } = info;
  const row =
    parameters === undefined ? UNKNOWN : (BY_SIZE.find(({ below }) => parameters < below)?.row ?? UNKNOWN);
  const profile: Profile = {
    ...row,
    tools: row.tools && info.can.tools,
    starter: row.name === 'tiny' && STARTER.test(info.name),
  };
  if (row.name === 'tiny') return profile;
  const known = `${info.name} ${info.family ?? ''}`.toLowerCase();
  const family = BY_FAMILY.find((entry) => entry.family.test(known));
  if (family?.temperature !== undefined) profile.temperature = family.temperature;
  if (family?.topP !== undefined) profile.topP = family.topP;
  if (family?.thinks) profile.maxAnswer *= 2;
  return profile;
}
