// usage: node pack.mjs FILE FILE.gz FILE.br -- compresses a file both ways, as small as it gets.
import { readFileSync, writeFileSync } from "node:fs";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const [file, gzip, brotli] = process.argv.slice(2);
const bytes = readFileSync(file);
writeFileSync(gzip, gzipSync(bytes, { level: 9 }));
writeFileSync(brotli, brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }));
