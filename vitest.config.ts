import { defineConfig } from 'vitest/config';
import { SummaryReporter } from './test/support/summary.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    reporters: ['default', new SummaryReporter()],
    // Two cores are the smallest machine we support: more workers only slow real processes down.
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
