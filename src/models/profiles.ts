/** What a model is given depends on what it can bear. One table, by size and family. */

/** How a model is used. Chosen by {@link profileFor}. */
export interface Profile {
  name: 'tiny' | 'small' | 'medium' | 'large';
  /** Greedy where sampling spoils the answers. */
  temperature: number;
  topP?: number;
  /** Above 1, repeated tokens lose weight; tiny models loop without it. */
  repeatPenalty?: number;
  /** Whether tools are offered at all. */
  tools: boolean;
  /** How much system prompt helps rather than harms: `minimal` is one sentence. */
  systemPrompt: 'minimal' | 'short' | 'full';
  /** Cap on the window, in tokens, whatever the model could take. */
  maxWindow: number;
  /** Cap on an answer, in tokens. */
  maxAnswer: number;
  /** What it may be used for beyond chat. */
  uses: readonly ('chat' | 'distil' | 'review' | 'tools')[];
  /** Whether its first answer in a conversation says that it is only a starter. */
  starter: boolean;
}
