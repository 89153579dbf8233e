/* cuDNN's descriptors as stores of typed attributes, under NVIDIA's numbers. */
#ifndef IST_EMULATION_CUDNN_H
#define IST_EMULATION_CUDNN_H
#include "emulation.h"
#include <map>
#include <string>
#include <vector>

namespace cudnn {
enum Status {
    SUCCESS = 0, BAD_PARAM = 2000, NULL_POINTER = 2002, NOT_FINALIZED = 2004, SHAPE_MISMATCH = 2008,
    DUPLICATED = 2009, ATTRIBUTE_TYPE = 2010, DESCRIPTOR_TYPE = 2012, NOT_SUPPORTED = 3000, NOT_SUPPORTED_SHAPE = 3002,
    NOT_SUPPORTED_DATA_TYPE = 3003, NOT_SUPPORTED_LAYOUT = 3004, EXECUTION_FAILED = 5000
};
enum Kind {
    CONVOLUTION = 1, ENGINE = 2, ENGINECFG = 3, ENGINEHEUR = 4, PLAN = 5, FORWARD = 10, BACKWARD_FILTER = 11,
    BACKWARD_DATA = 12, GRAPH = 15, PACK = 16, TENSOR = 17, DEVICEPROP = 38
};
enum ValueType {
    T_HANDLE = 0, T_DATA_TYPE = 1, T_BOOLEAN = 2, T_INT64 = 3, T_FLOAT = 4, T_VOID_PTR = 6, T_MODE = 7, T_HEUR = 8,
    T_NUMERICAL_NOTE = 11, T_DESCRIPTOR = 15, T_BEHAVIOR_NOTE = 19, T_INT32 = 23, T_CHAR = 24
};
enum Attribute {
    COMP_TYPE = 100, CONV_MODE = 101, DILATIONS = 102, STRIDES = 103, POST = 104, PRE = 105, SPATIAL = 106,
    HEUR_MODE = 200, HEUR_GRAPH = 201, HEUR_RESULTS = 202, HEUR_DEVICEPROP = 204, CFG_ENGINE = 300, PLAN_HANDLE = 400, PLAN_CONFIG = 401,
    PLAN_WORKSPACE = 402, PLAN_DEVICEPROP = 407, GRAPH_HANDLE = 800, GRAPH_OPS = 801, ALIGNMENT = 900, DATA_TYPE = 901, DIMS = 902,
    TENSOR_STRIDES = 903, UID = 906, VIRTUAL = 907, PACK_UIDS = 1000, PACK_POINTERS = 1001, PACK_WORKSPACE = 1003,
    ENGINE_GRAPH = 1300, ENGINE_INDEX = 1301, ENGINE_NOTES = 1303, ENGINE_BEHAVIOR = 1305, DEVICE_HANDLE = 2701,
    DEVICE_JSON = 2702
};

struct Value {
    int type;
    std::vector<char> bytes;
    size_t count = 0;
    template <class T> T at(size_t i) const { return ((const T *)bytes.data())[i]; }
};

struct Descriptor {
    int kind;
    bool finished = false;
    std::map<int, Value> values;

    bool has(int a) const { return values.count(a) != 0; }
    std::vector<int64_t> longs(int a) const;
    Descriptor *child(int a, size_t i = 0) const;
    int64_t number(int a) const { return values.at(a).at<int64_t>(0); }
};

/* What a convolution op computes, read from its descriptors once, at execution. */
struct Problem {
    int kind;
    const Descriptor *x, *w, *y; /* dx, dw and dy stand in their places */
    std::vector<int64_t> stride, padding, dilation;
    float alpha, beta;
};

extern thread_local std::string last_error;
int refuse(int status, const std::string &why);

/* The problem of an op, or a status and a text why there is none. */
int read_problem(const Descriptor *op, Problem *problem);

/* Elements from the first to the last of a channels-last tensor, both included. */
int64_t extent(const Descriptor *t);

/* Loops. Pointers are those of x, w and y. */
int convolve(const Problem &p, void *x, void *w, void *y);
} // namespace cudnn
#endif
