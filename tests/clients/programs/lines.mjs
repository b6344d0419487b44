// The loop of a client program: see tests/clients/child_programs.py for the lines.
import { createInterface } from "node:readline";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

export const access = JSON.parse((await lines.next()).value);

export async function serve(operations) {
  for await (const line of lines) {
    const asked = JSON.parse(line);
    let answer;
    try {
      answer = await operations[asked.op](asked);
    } catch (error) {
      answer = { error: `${error.name}: ${error.message}` };
    }
    process.stdout.write(JSON.stringify(answer) + "\n");
  }
}
