/**
 * Downloads one file from the hub by node-llama-cpp's downloader, which resumes, in a process of its own: the
 * library's memory goes with it. What has come so far is beside the file, in `NAME.ipull`.
 */
import type { ModelDownloader } from 'node-llama-cpp';

/** What to fetch, as JSON in the first argument. */
export interface DownloadOrder {
  url: string;
  folder: string;
  name: string;
}

export type DownloadReport =
  | { type: 'progress'; bytes: number }
  | { type: 'done' }
  | { type: 'failed'; message: string };

const order: DownloadOrder = JSON.parse(process.argv[2] ?? '{}');
let downloader: ModelDownloader | undefined;
process.on('disconnect', async () => {
  // What has come is noted; then the process ends, whatever connections the library left open.
  await downloader?.cancel({ deleteTempFile: false });
  process.exit();
});
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);

try {
  const { createModelDownloader } = await import('node-llama-cpp');
  downloader = await createModelDownloader({
    modelUri: order.url,
    dirPath: order.folder,
    fileName: order.name,
    deleteTempFileOnCancel: false,
    onProgress: ({ downloadedSize }) => report({ type: 'progress', bytes: downloadedSize }),
  });
  await downloader.download();
  report({ type: 'done' });
} catch (error) {
  report({ type: 'failed', message: error instanceof Error ? error.message : String(error) });
}

function report(message: DownloadReport): void {
  if (process.connected) process.send?.(message, undefined, {}, () => undefined);
}
