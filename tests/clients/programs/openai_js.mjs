// The official JavaScript client of OpenAI: chat completions.
import OpenAI from "openai";
import { access, serve } from "./lines.mjs";

const client = new OpenAI({ baseURL: access.base_url, apiKey: access.key, maxRetries: 0 });

async function ask({ model, messages }) {
  const answer = await client.chat.completions.create({ model, messages });
  return { text: answer.choices[0].message.content };
}

await serve({
  async models() {
    const models = [];
    for await (const model of client.models.list()) models.push(model.id);
    return { models };
  },
  ask,
  again: ask,
  async stream({ model, messages }) {
    const stream = client.chat.completions.stream({ model, messages });
    const pieces = [];
    stream.on("content", (delta) => pieces.push(delta));
    if ((await stream.finalContent()) !== pieces.join("")) throw new Error("the pieces are not the whole");
    return { pieces };
  },
  async leave({ model, messages }) {
    const stream = await client.chat.completions.create({ model, messages, stream: true });
    for await (const _ of stream) break;
    stream.controller.abort();
    return {};
  },
  async structured({ prompt, schema }) {
    const answer = await client.chat.completions.parse({
      model: "near-agent",
      messages: [{ role: "user", content: prompt }],
      response_format: { type: "json_schema", json_schema: { name: "answer", strict: true, schema } },
    });
    return { value: JSON.parse(answer.choices[0].message.content) };
  },
  image({ text, image }) {
    const content = [{ type: "image_url", image_url: { url: image } }];
    if (text) content.unshift({ type: "text", text });
    return ask({ model: "near-agent", messages: [{ role: "user", content }] });
  },
  async embed() {
    return { value: await client.embeddings.create({ model: "near-agent", input: "words" }) };
  },
  async complete() {
    return { text: (await client.completions.create({ model: "near-agent", prompt: "/help" })).choices[0].text };
  },
  async forced({ prompt, schema }) {
    const answer = await client.chat.completions.create({
      model: "near-agent",
      messages: [{ role: "user", content: prompt }],
      tools: [{ type: "function", function: { name: "save", parameters: schema } }],
      tool_choice: { type: "function", function: { name: "save" } },
    });
    return { value: JSON.parse(answer.choices[0].message.tool_calls[0].function.arguments) };
  },
});
