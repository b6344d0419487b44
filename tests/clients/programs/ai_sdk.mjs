// Vercel's AI SDK with its OpenAI provider: `chat` for chat completions, `responses` for the Responses API, its default.
import { createOpenAI } from "@ai-sdk/openai";
import { Output, embed, generateText, jsonSchema, streamText, tool } from "ai";
import { access, serve } from "./lines.mjs";

const openai = createOpenAI({ baseURL: access.base_url, apiKey: access.key });
const chosen = (model) => (process.argv[2] === "chat" ? openai.chat(model) : openai(model));

// The SDK's own messages with their provider's data, as its chat pages keep them: by answer.
const kept = new Map();
const history = (messages) => messages.flatMap((message) => kept.get(message.content) ?? [message]);

async function ask({ model, messages }) {
  const answer = await generateText({ model: chosen(model), messages: history(messages), maxRetries: 0 });
  kept.set(answer.text, answer.response.messages);
  return { text: answer.text };
}

await serve({
  ask,
  again: ask,
  async stream({ model, messages }) {
    let failed;
    const onError = ({ error }) => (failed = error);
    const answer = streamText({ model: chosen(model), messages: history(messages), maxRetries: 0, onError });
    const pieces = [];
    for await (const piece of answer.textStream) pieces.push(piece);
    if (failed) throw failed;
    kept.set(await answer.text, (await answer.response).messages);
    return { pieces };
  },
  async leave({ model, messages }) {
    const abort = new AbortController();
    const answer = streamText({
      model: chosen(model),
      messages: history(messages),
      maxRetries: 0,
      abortSignal: abort.signal,
      onError: () => {},
    });
    for await (const _ of answer.fullStream) break;
    abort.abort();
    return {};
  },
  async structured({ prompt, schema }) {
    const output = Output.object({ schema: jsonSchema(schema) });
    const answer = await generateText({ model: chosen("near-agent"), prompt, output, maxRetries: 0 });
    return { value: answer.output };
  },
  async image({ text, image }) {
    const content = [{ type: "image", image }];
    if (text) content.unshift({ type: "text", text });
    const messages = [{ role: "user", content }];
    return { text: (await generateText({ model: chosen("near-agent"), messages, maxRetries: 0 })).text };
  },
  async embed() {
    return { value: await embed({ model: openai.embedding("near-agent"), value: "words", maxRetries: 0 }) };
  },
  async complete() {
    const model = openai.completion("near-agent");
    return { text: (await generateText({ model, prompt: "/help", maxRetries: 0 })).text };
  },
  async forced({ prompt, schema }) {
    const answer = await generateText({
      model: chosen("near-agent"),
      prompt,
      tools: { save: tool({ inputSchema: jsonSchema(schema) }) },
      toolChoice: { type: "tool", toolName: "save" },
      maxRetries: 0,
    });
    return { value: answer.toolCalls[0].input };
  },
});
