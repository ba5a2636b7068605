// Anthropic's SDK through the router, to every kind of provider: messages, thinking, count_tokens, errors.

import Anthropic from "@anthropic-ai/sdk";
import { betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as support from "./support.mjs";
import { CACHED, ECHO, INPUT, KINDS, nexus, OUTPUT, TEXT, weather } from "./support.mjs";

const client = (apiKey = support.KEY) => new Anthropic({ baseURL: nexus.url, apiKey, maxRetries: 0 });
const ask = (model, content) => ({ model, max_tokens: 4000, messages: [{ role: "user", content }] });

const runnable = betaZodTool({ ...weather, inputSchema: weather.schema });
const tools = [{ name: weather.name, description: weather.description, input_schema: weather.json }];
const thinking = { type: "enabled", budget_tokens: 2048 };

for (const kind of KINDS) {
  const { model } = kind;

  suite(`messages of ${kind.name}`, () => {
    test("a message is answered", async () => {
      const answer = await client().messages.create(ask(model, "Hello"));
      assert.equal(answer.type, "message");
      assert.equal(answer.model, model);
      assert.deepEqual(answer.content.map(({ type, text }) => ({ type, text })), [{ type: "text", text: TEXT }]);
      assert.equal(answer.stop_reason, "end_turn");
      assert.deepEqual(numbers(answer.usage), [INPUT - CACHED, CACHED, OUTPUT]);
    });

    test("a stream is accumulated to the same", async () => {
      const stream = client().messages.stream(ask(model, "Hello"));
      const pieces = [];
      stream.on("text", (piece) => pieces.push(piece));
      const answer = await stream.finalMessage();
      assert.equal(await stream.finalText(), TEXT);
      assert.ok(pieces.length > 1);
      assert.equal(answer.stop_reason, "end_turn");
      assert.equal(answer.model, model);
      assert.equal(answer.usage.output_tokens, OUTPUT);
    });

    for (const stream of [false, true]) {
      test(`tools are called and their results answered, ${stream ? "in a stream" : "whole"}`, async () => {
        // Towards the others the SDK learns that nobody keeps the conversation, and sends all of it.
        const thread = kind.name === "anthropic" ? false : undefined;
        const question = { ...ask(model, support.ASK_WEATHER), tools: [runnable], stream, thread };
        const runner = client().beta.messages.toolRunner(question);
        const answer = await runner.runUntilDone();
        assert.equal(answer.content.map((block) => block.text).join(""), support.WEATHER_SAID);
        const called = runner.params.messages[1].content.filter((block) => block.type === "tool_use");
        assert.deepEqual(called.map((call) => call.input), support.CITIES);
        assert.equal(new Set(called.map((call) => call.id)).size, 2);
      });

      test(`thinking comes back with the tools' results, ${stream ? "in a stream" : "whole"}`, async () => {
        const question = { ...ask(model, `think\n${support.ASK_WEATHER}`), tools, thinking };
        const send = (call) => (stream ? client().messages.stream(call).finalMessage() : client().messages.create(call));
        const { content, stop_reason } = await send(question);
        assert.equal(stop_reason, "tool_use");
        const calls = content.filter((block) => block.type === "tool_use");
        assert.deepEqual(calls.map((call) => call.input), support.CITIES);
        const results = calls.map(({ id, input }) => {
          return { type: "tool_result", tool_use_id: id, content: weather.run(input) };
        });
        const turns = [{ role: "assistant", content }, { role: "user", content: results }];
        const answer = await send({ ...question, messages: [...question.messages, ...turns] });
        const text = answer.content.findLast((block) => block.type === "text").text;
        assert.equal(text, support.WEATHER_SAID);
      });
    }

    test("structured output is parsed", async () => {
      const output_config = { format: zodOutputFormat(support.Trip) };
      const answer = await client().messages.parse({ ...ask(model, support.ASK_TRIP), output_config });
      assert.deepEqual(answer.parsed_output, support.TRIP);
    });

    test("tokens are counted", async () => {
      const { max_tokens, ...question } = ask(model, "Hello");
      assert.ok((await client().messages.countTokens(question)).input_tokens > 0);
    });

    test("a refusal of the provider's rate limit says when to come again", async () => {
      await assert.rejects(client().messages.create(ask(model, "fail 429")), (error) => {
        assert.ok(error instanceof Anthropic.RateLimitError);
        assert.equal(error.headers.get("retry-after"), support.WAIT);
        assert.equal(error.error.error.type, "rate_limit_error");
        return /scripted failure/.test(error.message);
      });
    });

    test("a failing provider is an InternalServerError", async () => {
      await assert.rejects(client().messages.create(ask(model, "fail 500")), Anthropic.InternalServerError);
    });

    test("a model that the provider does not have is a NotFoundError", async () => {
      await assert.rejects(client().messages.create(ask(support.gone(kind), "Hello")), Anthropic.NotFoundError);
    });

    for (const ending of ["break", "fail later"]) {
      test(`a stream that ends by "${ending}" throws after what came`, async () => {
        const events = await client().messages.create({ ...ask(model, ending), stream: true });
        const { seen, error } = await support.untilError(events);
        assert.equal(seen.map((event) => event.delta?.text ?? "").join("").trim(), "one two");
        assert.ok(error instanceof Anthropic.APIError, error);
      });
    }
  });
}

suite("the router itself", () => {
  test("echo answers and streams", async () => {
    const answer = await client().messages.create(ask(ECHO, "one two"));
    assert.equal(answer.content[0].text, "one two");
    assert.equal(await client().messages.stream(ask(ECHO, "one two")).finalText(), "one two");
  });

  test("an unknown model is a NotFoundError", async () => {
    await assert.rejects(client().messages.create(ask("openai/nobody", "Hello")), Anthropic.NotFoundError);
  });

  test("a limit of the router is a RateLimitError", async () => {
    await assert.rejects(client().messages.create(ask("echo/tight", "Hello")), Anthropic.RateLimitError);
  });

  test("a caller with a wrong key is refused", async () => {
    await assert.rejects(client("wrong").messages.create(ask(ECHO, "Hello")), Anthropic.AuthenticationError);
  });

  test("models are listed", async () => {
    const names = (await Array.fromAsync(client().models.list())).map((model) => model.id);
    for (const { model } of KINDS) assert.ok(names.includes(model), model);
    assert.equal((await client().models.retrieve(ECHO)).id, ECHO);
  });
});

function numbers(usage) {
  return [usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens];
}
