// Claude Code, Codex and Gemini CLI through the router: a session of each, with calls of its shell, against every kind
// of provider. Nothing but the router is reached: their homes are new, and updates and telemetry are off.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { KEY, KINDS, nexus } from "./support.mjs";

const PACKAGES = join(import.meta.dirname, "..", "node_modules");

// Milliseconds that a session may take on a slow machine.
const PATIENCE = 90_000;

// A program: which tool its shell is and what that calls its command, what its home must hold, its environment, its
// arguments, and what it said at the end by what it printed.
const CLIS = {
  "Claude Code": {
    shell: ["Bash", "command"],
    home: () => ({}),
    environment: (model) => ({
      ANTHROPIC_BASE_URL: nexus.url,
      ANTHROPIC_API_KEY: KEY,
      ANTHROPIC_MODEL: model,
      ANTHROPIC_SMALL_FAST_MODEL: model,
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
      CLAUDE_CODE_MAX_RETRIES: "0",
    }),
    command: (_model, prompt) => [
      join(PACKAGES, "@anthropic-ai/claude-code/cli-wrapper.cjs"),
      ...["--print", prompt, "--allowedTools", "Bash", "--output-format", "json"],
    ],
    said: (printed) => JSON.parse(printed).result,
  },
  Codex: {
    shell: ["exec_command", "cmd"],
    home: (model) => ({
      ".codex/config.toml": `
        model = "${model}"
        model_provider = "nexus"
        check_for_update_on_startup = false
        [analytics]
        enabled = false
        [model_providers.nexus]
        name = "Nexus"
        base_url = "${nexus.url}/v1"
        env_key = "NEXUS_API_KEY"
        wire_api = "responses"
        request_max_retries = 0
        stream_max_retries = 0`,
    }),
    environment: () => ({ NEXUS_API_KEY: KEY }),
    command: (_model, prompt) => [
      join(PACKAGES, "@openai/codex/bin/codex.js"),
      // The sandbox needs what containers do not have.
      ...["exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", prompt],
    ],
    said: (printed) => printed.trim(),
  },
  "Gemini CLI": {
    shell: ["run_shell_command", "command"],
    home: () => ({
      ".gemini/settings.json": JSON.stringify({
        security: { auth: { selectedType: "gemini-api-key" } },
        privacy: { usageStatisticsEnabled: false },
        general: { enableAutoUpdate: false, enableAutoUpdateNotification: false },
      }),
    }),
    environment: () => ({ GOOGLE_GEMINI_BASE_URL: nexus.url, GEMINI_API_KEY: KEY, GEMINI_CLI_TRUST_WORKSPACE: "true" }),
    command: (model, prompt) => [
      join(PACKAGES, "@google/gemini-cli/bundle/gemini.js"),
      ...["--model", model, "--prompt", prompt, "--yolo", "--output-format", "json"],
    ],
    said: (printed) => JSON.parse(printed).response,
  },
};

// Runs a session in a new folder, and gives what `look` finds there and what the program said.
async function session(cli, model, prompt, look) {
  const folder = await mkdtemp(join(tmpdir(), "nexus-cli-"));
  try {
    const home = join(folder, "home");
    const work = join(folder, "work");
    await mkdir(work);
    for (const [name, text] of Object.entries(cli.home(model))) {
      await mkdir(join(home, name, ".."), { recursive: true });
      await writeFile(join(home, name), text);
    }
    const environment = { PATH: process.env.PATH, HOME: home, TERM: "dumb", ...cli.environment(model) };
    const printed = await run(cli.command(model, prompt), { cwd: work, env: environment, timeout: PATIENCE });
    return { said: cli.said(printed), found: await look(work) };
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

function run(command, options) {
  return new Promise((resolve, reject) => {
    const child = execFile(process.execPath, command, options, (error, stdout, stderr) => {
      error ? reject(new Error(`${error.message}\n${stdout}\n${stderr}`)) : resolve(stdout);
    });
    child.stdin.end();
  });
}

for (const [name, cli] of Object.entries(CLIS)) {
  suite(name, () => {
    for (const { name: kind, model } of KINDS) {
      test(`a session with two calls of the shell, by ${kind}`, async () => {
        const [tool, argument] = cli.shell;
        const calls = ["one", "two"].map((word) => {
          return `call ${tool} ${JSON.stringify({ [argument]: `echo ${word} > ${word}.txt && cat ${word}.txt` })}`;
        });
        const look = (folder) => Promise.all(["one.txt", "two.txt"].map((file) => readFile(join(folder, file), "utf8")));
        const { said, found } = await session(cli, model, calls.join("\n"), look);
        assert.deepEqual(found, ["one\n", "two\n"]);
        assert.match(said, /^The tools say: [^]*\bone\b[^]* and [^]*\btwo\b/);
      });
    }
  });
}
