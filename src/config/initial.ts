/** The config.yaml that the first start writes. */

/** Says what can be set, with the values that hold anyway: deleting any line changes nothing. */
export function initialConfig(): string {
  return `# Kimi's configuration. The daemon reads this file when it starts and again whenever it changes.
# A key that is left out has the value shown here. \`kimi config check\` checks the file, and
# \`kimi config schema\` prints every key there is.
#
# Keep secrets out of this file: "\${NAME}" is the environment variable NAME (unset: as if the key were left out),
# "\${NAME:-other}" has a value for when it is unset, and file:secrets/token is what that file in this folder holds.

models:
  chat: auto            # or provider/model, or a list: tried in order
  embedding: auto       # or none, or provider/model
  concurrency: 4        # requests in flight at once, all conversations together
  providers:
    ollama:
      baseUrl: http://127.0.0.1:11434
    embedded:           # runs GGUF files in a process of its own
      path: ~/.kimi/models   # ~/.kimi is this folder, wherever KIMI_HOME puts it
      download: starter      # fetch a small model where nothing else can chat; or never

channels:
  telegram:             # on as soon as it has a token, which @BotFather gives
    token: "\${TELEGRAM_BOT_TOKEN}"
    apiRoot: https://api.telegram.org
  slack:                # docs/slack.md says where its two tokens are
    botToken: "\${SLACK_BOT_TOKEN}"
    appToken: "\${SLACK_APP_TOKEN}"
  discord:              # docs/discord.md says where its token is
    token: "\${DISCORD_TOKEN}"
  reactions: true       # a sign on messages that take more than 2 s to answer

access:
  policy: pairing       # strangers get a code for \`kimi pair approve\`; or allowlist, or open
  allow: []             # let in without pairing, e.g. [telegram:1001]
`;
}
