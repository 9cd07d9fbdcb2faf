// What esbuild can import beside scripts.

declare module "*.css";
