// llama.cpp's own tokens and greedy answers: FILE.gguf PROMPTS.json ANSWERS.json LONGEST
import { readFileSync, writeFileSync } from "node:fs";
import { getLlama } from "node-llama-cpp";

const [file, prompts, answers, longest] = process.argv.slice(2);
// One thread: several wait for each other in loops, which takes minutes on a machine that is busy.
const llama = await getLlama({ gpu: false, build: "never", maxThreads: 1 });
const model = await llama.loadModel({ modelPath: file });
const found = [];
for (const prompt of JSON.parse(readFileSync(prompts))) {
  const context = await model.createContext({ contextSize: 512, threads: 1 });
  const tokens = model.tokenize(prompt, true);
  const answer = [];
  for await (const token of context.getSequence().evaluate(tokens, { temperature: 0 })) {
    if (model.isEogToken(token) || answer.push(token) >= Number(longest)) break;
  }
  found.push({ tokens: [...tokens], answer: model.detokenize(answer) });
  await context.dispose();
}
writeFileSync(answers, JSON.stringify(found));
process.exit(0);
