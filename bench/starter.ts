import type { Row } from './table.ts';
export async function starterRows(): Promise<Row[]> {
  return [];
}
