// The sentences of the scripts in the language of the page; the English ones are their names.

const language = document.documentElement.lang;
const words = language === "en" ? {} : (await import(`/words/${language}.js`)).default;

/** The sentence in the page's language; "{name}" stands for values.name. */
export function t(sentence, values = {}) {
  return (words[sentence] ?? sentence).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}
