// The adapter on streams among Node's: what they all do (lib/cluster.mjs).
import { clusterSuite } from "./lib/cluster.mjs";

clusterSuite("streams");
