// Vercel's `ai` through the router, by each of its packages for a protocol, to every kind of provider.

import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogle } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, embedMany, generateText, isStepCount, Output, streamText, tool } from "ai";
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as support from "./support.mjs";
import { CACHED, ECHO, INPUT, KINDS, nexus, OUTPUT, TEXT, weather } from "./support.mjs";

const at = (path) => ({ baseURL: nexus.url + path, apiKey: support.KEY });
const compatible = () =>
  createOpenAICompatible({ name: "nexus", includeUsage: true, supportsStructuredOutputs: true, ...at("/v1") });

// How each package makes a model of a name. Google's takes a name with a slash for a whole path.
const CLIENTS = {
  "@ai-sdk/openai": (model) => createOpenAI(at("/v1")).responses(model),
  "@ai-sdk/openai for chat": (model) => createOpenAI(at("/v1")).chat(model),
  "@ai-sdk/openai-compatible": (model) => compatible()(model),
  "@ai-sdk/anthropic": (model) => createAnthropic(at("/v1"))(model),
  "@ai-sdk/google": (model) => createGoogle(at("/v1beta"))(`models/${model}`),
};

// Nobody but OpenAI keeps what a Responses call said: without this the package refers to reasoning by its id.
const providerOptions = { openai: { store: false } };

// Google's package puts a result into an object of its own, which the model sees as it is.
const bare = (text) => text.replaceAll(/\{"name":"get_weather","content":"([^"]*)"\}/g, "$1");

const tools = {
  [weather.name]: tool({ description: weather.description, inputSchema: weather.schema, execute: weather.run }),
};

for (const [name, make] of Object.entries(CLIENTS)) {
  const ask = (model, prompt, more) => ({
    model: make(model),
    prompt,
    maxRetries: 0,
    providerOptions,
    onError: () => {}, // Or streams write their errors to the log, too.
    ...more,
  });

  for (const kind of KINDS) {
    const { model } = kind;

    suite(`${name} to ${kind.name}`, () => {
      test("a text is generated", async () => {
        const { text, finishReason, usage } = await generateText(ask(model, "Hello"));
        assert.equal(text, TEXT);
        assert.equal(finishReason, "stop");
        assert.deepEqual(numbers(usage), [INPUT, CACHED, OUTPUT]);
      });

      test("a text is streamed", async () => {
        const result = streamText(ask(model, "Hello"));
        const pieces = await Array.fromAsync(result.textStream);
        assert.equal(pieces.join(""), TEXT);
        assert.ok(pieces.length > 1);
        assert.equal(await result.finishReason, "stop");
        assert.deepEqual(numbers(await result.usage), [INPUT, CACHED, OUTPUT]);
      });

      test("tools are called and their results answered", async () => {
        const question = ask(model, support.ASK_WEATHER, { tools, stopWhen: isStepCount(3) });
        const { text, steps } = await generateText(question);
        assert.equal(bare(text), support.WEATHER_SAID);
        assert.deepEqual(steps[0].toolCalls.map((call) => call.input), support.CITIES);
        assert.equal(steps[0].finishReason, "tool-calls");
      });

      test("tools are called in a stream", async () => {
        const result = streamText(ask(model, support.ASK_WEATHER, { tools, stopWhen: isStepCount(3) }));
        assert.equal(bare((await Array.fromAsync(result.textStream)).join("")), support.WEATHER_SAID);
        const [first] = await result.steps;
        assert.deepEqual(first.toolCalls.map((call) => call.input), support.CITIES);
      });

      test("structured output is parsed", async () => {
        const question = ask(model, support.ASK_TRIP, { output: Output.object({ schema: support.Trip }) });
        assert.deepEqual((await generateText(question)).output, support.TRIP);
      });

      for (const status of [429, 500]) {
        test(`an error ${status} of the provider can be told`, async () => {
          await assert.rejects(generateText(ask(model, `fail ${status}`)), (error) => {
            assert.ok(APICallError.isInstance(error), error);
            assert.ok(error.isRetryable);
            assert.match(error.message, /scripted failure/);
            return error.statusCode === status;
          });
        });
      }

      test("a stream that fails says so after what came", async () => {
        const result = streamText(ask(model, "fail later"));
        const parts = await Array.fromAsync(result.fullStream);
        assert.equal(parts.map((part) => (part.type === "text-delta" ? part.text : "")).join("").trim(), "one two");
        assert.ok(parts.some((part) => part.type === "error"));
      });
    });
  }

  test(`${name} to echo`, async () => {
    assert.equal((await generateText(ask(ECHO, "one two"))).text, "one two");
    assert.equal((await Array.fromAsync(streamText(ask(ECHO, "one two")).textStream)).join(""), "one two");
    await assert.rejects(generateText(ask("echo/tight", "Hello")), { statusCode: 429 });
    await assert.rejects(generateText(ask("echo/nobody", "Hello")), { statusCode: 404 });
  });
}

for (const kind of KINDS.filter((kind) => kind.embeds)) {
  test(`embeddings of ${kind.name}`, async () => {
    const models = [createOpenAI(at("/v1")).embedding(kind.model), compatible().embeddingModel(kind.model)];
    for (const model of models) {
      const { embeddings } = await embedMany({ model, values: ["four", "three"], maxRetries: 0 });
      assert.deepEqual(embeddings.map(([first]) => first), [4, 5]);
    }
  });
}

function numbers(usage) {
  return [usage.inputTokens, usage.inputTokenDetails.cacheReadTokens, usage.outputTokens];
}
