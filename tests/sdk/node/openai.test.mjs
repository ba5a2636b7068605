// OpenAI's SDK through the router, to every kind of provider: chat completions, Responses, embeddings, errors.

import assert from "node:assert/strict";
import { suite, test } from "node:test";
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import * as support from "./support.mjs";
import { ECHO, INPUT, KINDS, nexus, OUTPUT, TEXT, weather } from "./support.mjs";

const client = (apiKey = support.KEY) => new OpenAI({ baseURL: `${nexus.url}/v1`, apiKey, maxRetries: 0 });
const user = (content) => [{ role: "user", content }];

const tools = [
  {
    type: "function",
    function: {
      name: weather.name,
      description: weather.description,
      parameters: weather.json,
      parse: JSON.parse,
      function: weather.run,
    },
  },
];
const flatTools = [
  { type: "function", name: weather.name, description: weather.description, parameters: weather.json, strict: true },
];

for (const kind of KINDS) {
  const { model } = kind;

  suite(`chat completions of ${kind.name}`, () => {
    test("a chat is answered", async () => {
      const answer = await client().chat.completions.create({ model, messages: user("Hello") });
      assert.equal(answer.object, "chat.completion");
      assert.equal(answer.model, model);
      assert.equal(answer.choices[0].message.content, TEXT);
      assert.equal(answer.choices[0].finish_reason, "stop");
      assert.deepEqual(numbers(answer.usage), [INPUT, OUTPUT, INPUT + OUTPUT]);
    });

    test("a stream comes in pieces with usage at its end", async () => {
      const options = { stream: true, stream_options: { include_usage: true } };
      const chunks = await Array.fromAsync(
        await client().chat.completions.create({ model, messages: user("Hello"), ...options }),
      );
      const pieces = chunks.map((chunk) => chunk.choices[0]?.delta.content).filter(Boolean);
      assert.equal(pieces.join(""), TEXT);
      assert.ok(pieces.length > 1);
      assert.equal(chunks.findLast((chunk) => chunk.choices.length).choices[0].finish_reason, "stop");
      assert.deepEqual(numbers(chunks.at(-1).usage), [INPUT, OUTPUT, INPUT + OUTPUT]);
      const ids = chunks.filter((chunk) => chunk.choices.length).map((chunk) => chunk.id);
      assert.equal(new Set(ids).size, 1);
    });

    for (const stream of [false, true]) {
      test(`tools are called and their results answered, ${stream ? "in a stream" : "whole"}`, async () => {
        const runner = client().chat.completions.runTools({ model, messages: user(support.ASK_WEATHER), tools, stream });
        assert.equal(await runner.finalContent(), support.WEATHER_SAID);
        const [called] = runner.messages.filter((message) => message.tool_calls?.length);
        assert.deepEqual(called.tool_calls.map((call) => JSON.parse(call.function.arguments)), support.CITIES);
        assert.equal(new Set(called.tool_calls.map((call) => call.id)).size, 2);
        assert.equal(runner.allChatCompletions()[0].choices[0].finish_reason, "tool_calls");
      });
    }

    test("structured output is parsed", async () => {
      const format = { response_format: zodResponseFormat(support.Trip, "trip") };
      const answer = await client().chat.completions.parse({ model, messages: user(support.ASK_TRIP), ...format });
      assert.deepEqual(answer.choices[0].message.parsed, support.TRIP);
    });

    test("a refusal of the provider's rate limit says when to come again", async () => {
      const call = client().chat.completions.create({ model, messages: user("fail 429") });
      await assert.rejects(call, (error) => {
        assert.ok(error instanceof OpenAI.RateLimitError);
        assert.equal(error.headers.get("retry-after"), support.WAIT);
        return /scripted failure/.test(error.message);
      });
    });

    test("a failing provider is an InternalServerError", async () => {
      const call = client().chat.completions.create({ model, messages: user("fail 500") });
      await assert.rejects(call, OpenAI.InternalServerError);
    });

    test("a model that the provider does not have is a NotFoundError", async () => {
      const call = client().chat.completions.create({ model: support.gone(kind), messages: user("Hello") });
      await assert.rejects(call, OpenAI.NotFoundError);
    });

    for (const ending of ["break", "fail later"]) {
      test(`a stream that ends by "${ending}" throws after what came`, async () => {
        const call = { model, messages: user(ending), stream: true };
        const { seen, error } = await support.untilError(await client().chat.completions.create(call));
        assert.equal(seen.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("").trim(), "one two");
        assert.ok(error instanceof OpenAI.APIError, error);
      });
    }
  });

  suite(`Responses of ${kind.name}`, () => {
    test("a question is answered", async () => {
      const answer = await client().responses.create({ model, input: "Hello", store: false });
      assert.equal(answer.output_text, TEXT);
      assert.equal(answer.status, "completed");
      assert.equal(answer.model, model);
      assert.deepEqual(flat(answer.usage), [INPUT, OUTPUT, INPUT + OUTPUT]);
    });

    test("a stream is accumulated to the same", async () => {
      const stream = client().responses.stream({ model, input: "Hello", store: false });
      const types = (await Array.fromAsync(stream)).map((event) => event.type);
      const answer = await stream.finalResponse();
      assert.equal(answer.output_text, TEXT);
      assert.deepEqual(flat(answer.usage), [INPUT, OUTPUT, INPUT + OUTPUT]);
      assert.equal(types[0], "response.created");
      assert.equal(types.at(-1), "response.completed");
      assert.ok(types.filter((type) => type === "response.output_text.delta").length > 1);
    });

    for (const stream of [false, true]) {
      test(`tools are called and their results answered, ${stream ? "in a stream" : "whole"}`, async () => {
        const call = { model, input: user(support.ASK_WEATHER), tools: flatTools, store: false };
        const ask = (call) =>
          stream ? client().responses.stream(call).finalResponse() : client().responses.create(call);
        const { output } = await ask(call);
        const calls = output.filter((item) => item.type === "function_call");
        assert.deepEqual(calls.map((item) => JSON.parse(item.arguments)), support.CITIES);
        const results = calls.map(({ call_id, arguments: text }) => {
          return { type: "function_call_output", call_id, output: weather.run(JSON.parse(text)) };
        });
        const sent = output.map(({ parsed_arguments, ...item }) => item);
        const answer = await ask({ ...call, input: [...call.input, ...sent, ...results] });
        assert.equal(answer.output_text, support.WEATHER_SAID);
      });
    }

    test("structured output is parsed", async () => {
      const text = { format: zodTextFormat(support.Trip, "trip") };
      const answer = await client().responses.parse({ model, input: support.ASK_TRIP, text, store: false });
      assert.deepEqual(answer.output_parsed, support.TRIP);
    });

    test("a refusal of the provider's rate limit is a RateLimitError", async () => {
      const call = client().responses.create({ model, input: "fail 429", store: false });
      await assert.rejects(call, OpenAI.RateLimitError);
    });

    test("a stream that fails throws after what came", async () => {
      const call = { model, input: "fail later", stream: true, store: false };
      const stream = await client().responses.create(call);
      let text = "";
      let failed = false;
      try {
        for await (const event of stream) {
          if (event.type === "response.output_text.delta") text += event.delta;
          failed ||= event.type === "error" || event.type === "response.failed";
        }
      } catch (error) {
        failed = error instanceof OpenAI.APIError;
      }
      assert.equal(text.trim(), "one two");
      assert.ok(failed);
    });
  });

  test(`embeddings of ${kind.name} ${kind.embeds ? "are numbers" : "are refused clearly"}`, async () => {
    const call = client().embeddings.create({ model, input: ["four", "three"] });
    if (!kind.embeds) {
      await assert.rejects(call, OpenAI.BadRequestError);
      return;
    }
    const answer = await call;
    assert.deepEqual(answer.data.map((item) => item.embedding[0]), [4, 5]);
    assert.deepEqual(answer.data.map((item) => item.index), [0, 1]);
  });
}

suite("the router itself", () => {
  test("echo answers and streams", async () => {
    const answer = await client().chat.completions.create({ model: ECHO, messages: user("one two") });
    assert.equal(answer.choices[0].message.content, "one two");
    const stream = client().responses.stream({ model: ECHO, input: "one two" });
    assert.equal((await stream.finalResponse()).output_text, "one two");
  });

  test("an unknown model is a NotFoundError", async () => {
    const call = client().chat.completions.create({ model: "openai/nobody", messages: user("Hello") });
    await assert.rejects(call, OpenAI.NotFoundError);
  });

  test("a limit of the router is a RateLimitError", async () => {
    const call = client().chat.completions.create({ model: "echo/tight", messages: user("Hello") });
    await assert.rejects(call, OpenAI.RateLimitError);
  });

  test("a caller with a wrong key is refused", async () => {
    const call = client("wrong").chat.completions.create({ model: ECHO, messages: user("Hello") });
    await assert.rejects(call, OpenAI.AuthenticationError);
  });

  test("models are listed", async () => {
    const names = (await Array.fromAsync(client().models.list())).map((model) => model.id);
    for (const { model } of KINDS) assert.ok(names.includes(model), model);
    assert.equal((await client().models.retrieve(ECHO)).id, ECHO);
  });
});

function numbers(usage) {
  return [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens];
}

function flat(usage) {
  return [usage.input_tokens, usage.output_tokens, usage.total_tokens];
}
