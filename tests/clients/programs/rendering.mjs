// Draw Markdown with the renderers of chat clients, and compare what is seen with what is meant.
//
//     node rendering.mjs RENDERER EVERY pairs.json
//
// The pairs are those of `python -m tests.rendering.dump`; one of EVERY is drawn. Prints how many were drawn,
// how many were not drawn as they are meant, and the first of those.
import { readFileSync } from "node:fs";
import MarkdownIt from "markdown-it";
import { Marked } from "marked";
import { createElement } from "react";
import { renderToStaticMarkup } from "react-dom/server";
import ReactMarkdown from "react-markdown";
import rehypeKatex from "rehype-katex";
import remarkGfm from "remark-gfm";
import remarkMath from "remark-math";
import { Streamdown } from "streamdown";

const react = (component, properties) => (text) => renderToStaticMarkup(createElement(component, properties, text));
const linkified = new MarkdownIt({ html: true, linkify: true, typographer: false, breaks: true });
const marked = new Marked({ gfm: true, breaks: true });
const math = { remarkPlugins: [remarkGfm, remarkMath], rehypePlugins: [rehypeKatex] };
const RENDERERS = {
  marked: (text) => marked.parse(text),
  "markdown-it": (text) => linkified.render(text),
  "react-markdown": react(ReactMarkdown, math),
  streamdown: react(Streamdown, { mode: "static" }),
};

const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };
const decoded = (html) =>
  html.replace(/&(#x[0-9a-f]+|#\d+|\w+);/gi, (whole, name) => {
    if (name[0] !== "#") return ENTITIES[name] ?? whole;
    return String.fromCodePoint(name[1].toLowerCase() === "x" ? parseInt(name.slice(2), 16) : Number(name.slice(1)));
  });
const plain = (text) => text.replace(/\s+/g, " ").trim();

const TAG = /<(?:[^>"']|"[^"]*"|'[^']*')*>/g;
// Besides these the daemon writes no markup: what else there is comes from outside. Streamdown draws bold text and its
// links as `span` and `button`.
const OURS = /^<\/?(?:p|ul|li|strong|code|br|div|span|button)(?:[\s/>]|$)/;
const LINK = /^<(?:\/a>|a [^>]*href="https:\/\/[\w.-]*nearblocks\.io\/txns\/)/;
const OPEN_LINK = /^<(?:a |button [^>]*data-streamdown="link")/;
const OUR_LINK = /(?:\]\(|<)https:\/\/[\w.-]*nearblocks\.io\/txns\//g;

function seen(html) {
  const tags = html.match(TAG) ?? [];
  const foreign = tags.filter((tag) => !OURS.test(tag) && !LINK.test(tag));
  const links = tags.filter((tag) => OPEN_LINK.test(tag)).length;
  const blocks = html.split(/<\/(?:p|li|h\d|blockquote|pre|table)>/);
  const lines = blocks.map((block) => plain(decoded(block.replace(TAG, "")))).filter((line) => line !== "");
  return { lines, links, foreign };
}

const [renderer, every, file] = process.argv.slice(2);
const pairs = JSON.parse(readFileSync(file, "utf8")).filter((_, number) => number % Number(every) === 0);
const faults = [];
for (const { markdown, visible } of pairs) {
  const { lines, links, foreign } = seen(RENDERERS[renderer](markdown));
  const meant = visible.map(plain).filter((line) => line !== "");
  const place = meant.findIndex((line, number) => line !== lines[number]);
  const ours = (markdown.match(OUR_LINK) ?? []).length;
  if (foreign.length || links !== ours || place >= 0 || lines.length !== meant.length) {
    faults.push({ meant: meant[place] ?? meant.length, seen: lines[place] ?? lines.length, foreign, markdown });
  }
}
process.stdout.write(JSON.stringify({ drawn: pairs.length, faults: faults.length, first: faults.slice(0, 3) }));
