/** Remembers the latest texts that were added, `size` of them at least, if so many were added. */
export class Latest {
  #young = new Set<string>();
  #old = new Set<string>();

  constructor(private readonly size: number) {}

  add(texts: readonly string[]): void {
    for (const text of texts) this.#young.add(text);
    if (this.#young.size < this.size) return;
    this.#old = this.#young;
    this.#young = new Set();
  }

  has(text: string): boolean {
    return this.#young.has(text) || this.#old.has(text);
  }
}
