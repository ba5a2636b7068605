// Google's SDK through the router, to every kind of provider: generateContent, streams, countTokens, errors.

import { ApiError, FunctionCallingConfigMode, GoogleGenAI } from "@google/genai";
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { z } from "zod";
import * as support from "./support.mjs";
import { CACHED, ECHO, INPUT, KINDS, nexus, OUTPUT, TEXT, weather } from "./support.mjs";

function client(apiKey = support.KEY) {
  return new GoogleGenAI({ apiKey, httpOptions: { baseUrl: nexus.url, retryOptions: { attempts: 1 } } });
}

// A tool that the SDK calls by itself and whose results it sends back.
const callable = {
  calls: [],
  async tool() {
    const { name, description, json } = weather;
    return { functionDeclarations: [{ name, description, parametersJsonSchema: json }] };
  },
  async callTool(calls) {
    this.calls.push(...calls);
    return calls.map(({ id, name, args }) => ({ functionResponse: { id, name, response: { result: weather.run(args) } } }));
  },
};

const failed = (status) => (error) => error instanceof ApiError && error.status === status;

for (const kind of KINDS) {
  const { model } = kind;

  suite(`generateContent of ${kind.name}`, () => {
    test("a question is answered", async () => {
      const answer = await client().models.generateContent({ model, contents: "Hello" });
      assert.equal(answer.text, TEXT);
      assert.equal(answer.candidates[0].finishReason, "STOP");
      assert.equal(answer.modelVersion, model);
      assert.deepEqual(numbers(answer.usageMetadata), [INPUT, CACHED, OUTPUT, INPUT + OUTPUT]);
    });

    test("a stream comes in pieces with usage at its end", async () => {
      const pieces = await Array.fromAsync(await client().models.generateContentStream({ model, contents: "Hello" }));
      assert.equal(pieces.map((piece) => piece.text ?? "").join(""), TEXT);
      assert.ok(pieces.length > 1);
      assert.equal(pieces.at(-1).candidates[0].finishReason, "STOP");
      assert.deepEqual(numbers(pieces.at(-1).usageMetadata), [INPUT, CACHED, OUTPUT, INPUT + OUTPUT]);
    });

    for (const stream of [false, true]) {
      test(`tools are called and their results answered, ${stream ? "in a stream" : "whole"}`, async () => {
        const tool = { ...callable, calls: [] };
        const question = { model, contents: support.ASK_WEATHER, config: { tools: [tool] } };
        let text;
        if (stream) {
          const pieces = await Array.fromAsync(await client().models.generateContentStream(question));
          text = pieces.map((piece) => piece.candidates?.[0]?.content?.parts?.map((part) => part.text ?? "").join("") ?? "").join("");
        } else {
          text = (await client().models.generateContent(question)).text;
        }
        assert.equal(text, support.WEATHER_SAID);
        assert.deepEqual(tool.calls.map((call) => call.args), support.CITIES);
      });
    }

    test("a tool that is demanded is called", async () => {
      const toolConfig = { functionCallingConfig: { mode: FunctionCallingConfigMode.ANY } };
      const tools = [await callable.tool()];
      const answer = await client().models.generateContent({ model, contents: "Hello", config: { tools, toolConfig } });
      assert.equal(answer.functionCalls[0].name, weather.name);
    });

    test("structured output is parsed", async () => {
      const config = { responseMimeType: "application/json", responseJsonSchema: z.toJSONSchema(support.Trip) };
      const answer = await client().models.generateContent({ model, contents: support.ASK_TRIP, config });
      assert.deepEqual(support.Trip.parse(JSON.parse(answer.text)), support.TRIP);
    });

    test("tokens are counted", async () => {
      assert.ok((await client().models.countTokens({ model, contents: "Hello" })).totalTokens > 0);
    });

    for (const status of [429, 500]) {
      test(`an error ${status} of the provider keeps its status`, async () => {
        await assert.rejects(client().models.generateContent({ model, contents: `fail ${status}` }), failed(status));
      });
    }

    test("a model that the provider does not have is a 404", async () => {
      await assert.rejects(client().models.generateContent({ model: support.gone(kind), contents: "Hello" }), failed(404));
    });

    for (const ending of ["break", "fail later"]) {
      test(`a stream that ends by "${ending}" throws after what came`, async () => {
        const stream = await client().models.generateContentStream({ model, contents: ending });
        const { seen } = await support.untilError(stream);
        assert.equal(seen.map((piece) => piece.text ?? "").join("").trim(), "one two");
      });
    }
  });
}

suite("the router itself", () => {
  test("echo answers and streams", async () => {
    assert.equal((await client().models.generateContent({ model: ECHO, contents: "one two" })).text, "one two");
    const stream = await client().models.generateContentStream({ model: ECHO, contents: "one two" });
    assert.equal((await Array.fromAsync(stream)).map((piece) => piece.text ?? "").join(""), "one two");
  });

  test("an unknown model is a 404", async () => {
    await assert.rejects(client().models.generateContent({ model: "openai/nobody", contents: "Hello" }), failed(404));
  });

  test("a limit of the router is a 429", async () => {
    await assert.rejects(client().models.generateContent({ model: "echo/tight", contents: "Hello" }), failed(429));
  });

  test("a caller with a wrong key is refused", async () => {
    await assert.rejects(client("wrong").models.generateContent({ model: ECHO, contents: "Hello" }), failed(401));
  });

  test("models are listed", async () => {
    const names = (await Array.fromAsync(await client().models.list())).map((model) => model.name);
    for (const { model } of KINDS) assert.ok(names.includes(`models/${model}`), model);
  });
});

function numbers(usage) {
  const { promptTokenCount, cachedContentTokenCount, candidatesTokenCount, totalTokenCount } = usage;
  return [promptTokenCount, cachedContentTokenCount, candidatesTokenCount, totalTokenCount];
}
