/** Ends a test run with one plain line that any tool can read. */
import type { Reporter, TestModule } from 'vitest/node';

/** `N passed, N failed, N skipped`, alone on a line. A file that could not be loaded counts as a failed test. */
export class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    const count = { passed: 0, failed: unhandled.length, skipped: 0 };
    for (const module of modules) {
      const tests = [...module.children.allTests()];
      for (const test of tests) {
        const { state } = test.result();
        if (state !== 'pending') count[state]++;
      }
      if (module.state() === 'failed' && tests.every((test) => test.result().state !== 'failed'))
        count.failed++;
    }
    console.log(`\n${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
  }
}
