import type { Landline } from "./landline.js";

/**
 * Have elements read from a line that the page has already, instead of from one of the extension's own. To be called
 * before htmx processes the page: in a module script of the page. Throws an Error if that is over.
 *
 * @param url What the line was given as its `url`, if it was: elements in a `landline-url` of the same words read from it.
 */
export function useLine(line: Landline<any>, url?: string): void;

/** Add the extension to an htmx that is no global, such as one that was imported. A global one gets it by itself. */
export function install(htmx: {
  defineExtension(name: string, extension: any): void;
  config: { disableSelector?: string; selfRequestsOnly?: boolean };
}): void;
