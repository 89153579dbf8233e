/* cuDNN's graph interface on the host: descriptors refuse what the real ones refuse, plans are plain loops. */
#include "cudnn.h"
#include <cstring>
#include <memory>
#include <set>

namespace cudnn {
thread_local std::string last_error;

int refuse(int status, const std::string &why) {
    last_error = "emulation: " + why;
    return status;
}

std::vector<int64_t> Descriptor::longs(int a) const {
    auto it = values.find(a);
    if (it == values.end()) return {};
    auto *p = (const int64_t *)it->second.bytes.data();
    return {p, p + it->second.count};
}

Descriptor *Descriptor::child(int a, size_t i) const { return values.at(a).at<Descriptor *>(i); }

namespace {
struct Handle {
    void *stream = nullptr;
};

std::set<Handle *> handles;
std::set<Descriptor *> descriptors;

/* What may be set on which kind, with which type, how many of them (0: any number), and whether it must be. */
struct Rule {
    int kind, attribute, type, count;
    bool needed;
    const char *name;
};
std::vector<Rule> rules() {
    std::vector<Rule> all = {
        {TENSOR, ALIGNMENT, T_INT64, 1, true, "TENSOR_BYTE_ALIGNMENT"},
        {TENSOR, DATA_TYPE, T_DATA_TYPE, 1, true, "TENSOR_DATA_TYPE"},
        {TENSOR, DIMS, T_INT64, 0, true, "TENSOR_DIMENSIONS"},
        {TENSOR, TENSOR_STRIDES, T_INT64, 0, true, "TENSOR_STRIDES"},
        {TENSOR, UID, T_INT64, 1, true, "TENSOR_UNIQUE_ID"},
        {TENSOR, VIRTUAL, T_BOOLEAN, 1, false, "TENSOR_IS_VIRTUAL"},
        {CONVOLUTION, COMP_TYPE, T_DATA_TYPE, 1, true, "CONVOLUTION_COMP_TYPE"},
        {CONVOLUTION, CONV_MODE, T_MODE, 1, true, "CONVOLUTION_CONV_MODE"},
        {CONVOLUTION, DILATIONS, T_INT64, 0, true, "CONVOLUTION_DILATIONS"},
        {CONVOLUTION, STRIDES, T_INT64, 0, true, "CONVOLUTION_FILTER_STRIDES"},
        {CONVOLUTION, POST, T_INT64, 0, true, "CONVOLUTION_POST_PADDINGS"},
        {CONVOLUTION, PRE, T_INT64, 0, true, "CONVOLUTION_PRE_PADDINGS"},
        {CONVOLUTION, SPATIAL, T_INT64, 1, true, "CONVOLUTION_SPATIAL_DIMS"},
        {GRAPH, GRAPH_HANDLE, T_HANDLE, 1, false, "OPERATIONGRAPH_HANDLE"},
        {GRAPH, GRAPH_OPS, T_DESCRIPTOR, 0, true, "OPERATIONGRAPH_OPS"},
        {ENGINEHEUR, HEUR_MODE, T_HEUR, 1, true, "ENGINEHEUR_MODE"},
        {ENGINEHEUR, HEUR_GRAPH, T_DESCRIPTOR, 1, true, "ENGINEHEUR_OPERATION_GRAPH"},
        {ENGINEHEUR, HEUR_DEVICEPROP, T_DESCRIPTOR, 1, false, "ENGINEHEUR_DEVICEPROP"},
        {ENGINE, ENGINE_GRAPH, T_DESCRIPTOR, 1, true, "ENGINE_OPERATION_GRAPH"},
        {ENGINE, ENGINE_INDEX, T_INT64, 1, true, "ENGINE_GLOBAL_INDEX"},
        {ENGINECFG, CFG_ENGINE, T_DESCRIPTOR, 1, true, "ENGINECFG_ENGINE"},
        {PLAN, PLAN_HANDLE, T_HANDLE, 1, false, "EXECUTION_PLAN_HANDLE"},
        {PLAN, PLAN_CONFIG, T_DESCRIPTOR, 1, true, "EXECUTION_PLAN_ENGINE_CONFIG"},
        {PLAN, PLAN_DEVICEPROP, T_DESCRIPTOR, 1, false, "EXECUTION_PLAN_DEVICEPROP"},
        {PACK, PACK_UIDS, T_INT64, 0, true, "VARIANT_PACK_UNIQUE_IDS"},
        {PACK, PACK_POINTERS, T_VOID_PTR, 0, true, "VARIANT_PACK_DATA_POINTERS"},
        {PACK, PACK_WORKSPACE, T_VOID_PTR, 1, false, "VARIANT_PACK_WORKSPACE"},
        {DEVICEPROP, DEVICE_HANDLE, T_HANDLE, 1, false, "DEVICEPROP_HANDLE"},
        {DEVICEPROP, DEVICE_JSON, T_CHAR, 0, false, "DEVICEPROP_JSON_REPRESENTATION"},
    };
    static const char *const NAMES[3][6] = {
        {"FORWARD_ALPHA", "FORWARD_BETA", "FORWARD_CONV_DESC", "FORWARD_W", "FORWARD_X", "FORWARD_Y"},
        {"BWD_DATA_ALPHA", "BWD_DATA_BETA", "BWD_DATA_CONV_DESC", "BWD_DATA_W", "BWD_DATA_DX", "BWD_DATA_DY"},
        {"BWD_FILTER_ALPHA", "BWD_FILTER_BETA", "BWD_FILTER_CONV_DESC", "BWD_FILTER_DW", "BWD_FILTER_X", "BWD_FILTER_DY"}};
    const int ops[3] = {FORWARD, BACKWARD_DATA, BACKWARD_FILTER};
    for (int i = 0; i < 3; i++)
        for (int a = 0; a < 6; a++)
            all.push_back({ops[i], 700 + 6 * i + a, a < 2 ? T_FLOAT : T_DESCRIPTOR, 1, true, NAMES[i][a]});
    return all;
}
const std::vector<Rule> RULES = rules();

const Rule *rule_of(int kind, int attribute) {
    for (const Rule &r : RULES)
        if (r.kind == kind && r.attribute == attribute) return &r;
    return nullptr;
}

std::string name_of(const Descriptor *d, int attribute) {
    const Rule *r = rule_of(d->kind, attribute);
    return r ? r->name : "attribute " + std::to_string(attribute);
}

size_t bytes_of(int type) {
    switch (type) {
        case T_BOOLEAN: case T_CHAR: return 1;
        case T_DATA_TYPE: case T_FLOAT: case T_MODE: case T_HEUR: case T_NUMERICAL_NOTE: case T_BEHAVIOR_NOTE:
        case T_INT32: return 4;
        default: return 8;
    }
}

bool is_live(const Descriptor *d, int kind) { return descriptors.count((Descriptor *)d) && d->kind == kind; }

int check_children(const Descriptor *d) {
    for (auto &v : d->values) {
        if (v.second.type != T_DESCRIPTOR) continue;
        for (size_t i = 0; i < v.second.count; i++) {
            auto *child = v.second.at<Descriptor *>(i);
            if (!descriptors.count(child)) return refuse(BAD_PARAM, name_of(d, v.first) + " is a descriptor that was destroyed");
            if (!child->finished) return refuse(NOT_FINALIZED, name_of(d, v.first) + " is not finalized");
        }
    }
    return SUCCESS;
}

int finish_tensor(Descriptor *d) {
    auto dims = d->longs(DIMS), strides = d->longs(TENSOR_STRIDES);
    int type = d->values.at(DATA_TYPE).at<int>(0);
    if (dims.size() != strides.size() || dims.size() < 3 || dims.size() > 8)
        return refuse(BAD_PARAM, "a tensor has 3 to 8 dimensions and as many strides");
    for (size_t i = 0; i < dims.size(); i++)
        if (dims[i] < 1 || strides[i] < 1) return refuse(BAD_PARAM, "dimensions and strides are positive");
    int64_t alignment = d->number(ALIGNMENT);
    if (alignment < 1 || (alignment & (alignment - 1))) return refuse(BAD_PARAM, "the alignment is no power of 2");
    if (alignment % (type == emulation::F32 ? 4 : 2)) return refuse(BAD_PARAM, "the alignment is no multiple of the element's size");
    if (type != emulation::F32 && type != emulation::F16 && type != emulation::BF16)
        return refuse(NOT_SUPPORTED_DATA_TYPE, "data type " + std::to_string(type));
    return SUCCESS;
}

int finish_convolution(Descriptor *d) {
    size_t axes = (size_t)d->number(SPATIAL);
    for (int a : {DILATIONS, STRIDES, PRE, POST})
        if (d->longs(a).size() != axes) return refuse(BAD_PARAM, "not one number for each spatial dimension");
    for (size_t i = 0; i < axes; i++)
        if (d->longs(DILATIONS)[i] < 1 || d->longs(STRIDES)[i] < 1 || d->longs(PRE)[i] < 0 || d->longs(POST)[i] < 0)
            return refuse(BAD_PARAM, "dilations and strides are positive, paddings not negative");
    if (d->values.at(COMP_TYPE).at<int>(0) != emulation::F32)
        return refuse(NOT_SUPPORTED_DATA_TYPE, "only float32 accumulation is emulated");
    return d->values.at(CONV_MODE).at<int>(0) == 1 ? SUCCESS : refuse(NOT_SUPPORTED, "only cross-correlation is emulated");
}

int finish_graph(Descriptor *d) {
    if (d->values.at(GRAPH_OPS).count != 1) return refuse(3001, "graphs of one convolution are emulated");
    Problem p;
    int status = read_problem(d->child(GRAPH_OPS), &p);
    if (status != SUCCESS) return status;
    std::set<int64_t> uids = {p.x->number(UID), p.w->number(UID), p.y->number(UID)};
    return uids.size() == 3 ? SUCCESS : refuse(DUPLICATED, "two tensors have one unique id");
}

int finish_pack(Descriptor *d) {
    auto uids = d->longs(PACK_UIDS);
    if (uids.size() != d->values.at(PACK_POINTERS).count) return refuse(BAD_PARAM, "not one pointer for each unique id");
    return std::set<int64_t>(uids.begin(), uids.end()).size() == uids.size()
               ? SUCCESS
               : refuse(DUPLICATED, "a unique id stands twice in the variant pack");
}

void put(Descriptor *d, int attribute, int type, size_t count, const void *elements) {
    Value v;
    v.type = type;
    v.count = count;
    v.bytes.assign((const char *)elements, (const char *)elements + count * bytes_of(type));
    d->values[attribute] = v;
}

/* Of a handle, cuDNN writes the text; a text is read, and must be one of a device. */
int finish_device(Descriptor *d) {
    static const std::string text = "{\"deviceName\": \"CUDA emulation on the host\", \"deviceVer\": 900}";
    if (d->has(DEVICE_HANDLE) == d->has(DEVICE_JSON)) return refuse(BAD_PARAM, "a device is described by a handle or by its text");
    if (d->has(DEVICE_HANDLE)) {
        if (!handles.count(d->values.at(DEVICE_HANDLE).at<Handle *>(0))) return refuse(BAD_PARAM, "the handle was destroyed");
        put(d, DEVICE_JSON, T_CHAR, text.size() + 1, text.c_str());
    }
    auto &json = d->values.at(DEVICE_JSON).bytes;
    return std::string(json.begin(), json.end()).find("\"deviceName\"") != std::string::npos
               ? SUCCESS
               : refuse(BAD_PARAM, "the text has no deviceName");
}

int finish_plan(Descriptor *d) {
    if (!is_live(d->child(PLAN_CONFIG), ENGINECFG)) return refuse(DESCRIPTOR_TYPE, "no engine configuration");
    return d->has(PLAN_HANDLE) || d->has(PLAN_DEVICEPROP)
               ? SUCCESS
               : refuse(BAD_PARAM, "a plan needs EXECUTION_PLAN_HANDLE or EXECUTION_PLAN_DEVICEPROP");
}

int finish(Descriptor *d) {
    for (const Rule &r : RULES)
        if (r.kind == d->kind && r.needed && !d->has(r.attribute))
            return refuse(BAD_PARAM, "descriptor " + std::to_string(d->kind) + " lacks attribute " + r.name);
    int status = check_children(d);
    if (status != SUCCESS) return status;
    switch (d->kind) {
        case TENSOR: return finish_tensor(d);
        case CONVOLUTION: return finish_convolution(d);
        case FORWARD: case BACKWARD_DATA: case BACKWARD_FILTER: {
            Problem p;
            return read_problem(d, &p);
        }
        case GRAPH: return finish_graph(d);
        case PACK: return finish_pack(d);
        case PLAN: return finish_plan(d);
        case DEVICEPROP: return finish_device(d);
        default: return SUCCESS;
    }
}

/* Engines: mode A knows two for small problems, so that timing has something to choose from, and one for large ones. */
int64_t engine_count(const Descriptor *heuristics) {
    Problem p;
    read_problem(heuristics->child(HEUR_GRAPH)->child(GRAPH_OPS), &p);
    /* As on a real GPU, none of those that come compiled writes the float32 gradient of half precision. */
    if (p.w->values.at(DATA_TYPE).at<int>(0) != p.x->values.at(DATA_TYPE).at<int>(0)) return 0;
    int mode = heuristics->values.at(HEUR_MODE).at<int>(0);
    if (mode != 3) return 1;
    int64_t work = p.w->longs(DIMS)[0];
    for (int64_t d : p.y->longs(DIMS)) work *= d;
    const int64_t small = 1 << 12;
    return work < small ? 2 : 1;
}

/* Fills descriptors that the caller made, as many as fit. */
int give_results(Descriptor *d, int64_t most, int64_t *count, void *elements) {
    int64_t n = engine_count(d);
    *count = n;
    for (int64_t i = 0; i < n && i < most; i++) {
        auto *cfg = ((Descriptor **)elements)[i];
        if (!is_live(cfg, ENGINECFG)) return refuse(DESCRIPTOR_TYPE, "results need engine configurations to fill");
        auto *engine = new Descriptor{ENGINE, true, {}};
        descriptors.insert(engine); /* lives as long as the process: the real one owns it, too */
        Descriptor *graph = d->child(HEUR_GRAPH);
        put(engine, ENGINE_GRAPH, T_DESCRIPTOR, 1, &graph);
        put(engine, ENGINE_INDEX, T_INT64, 1, &i);
        put(cfg, CFG_ENGINE, T_DESCRIPTOR, 1, &engine);
        cfg->finished = true;
    }
    return SUCCESS;
}

const int64_t WORKSPACE = 1024; /* the loops need none; a plan that asks for some tests that it is given */

int execute(Handle *handle, Descriptor *plan, Descriptor *pack) {
    if (!plan->has(PLAN_HANDLE)) return refuse(BAD_PARAM, "the plan is for a device that is only described");
    if (plan->values.at(PLAN_HANDLE).at<Handle *>(0) != handle) return refuse(BAD_PARAM, "the plan is another handle's");
    Problem p;
    Descriptor *graph = plan->child(PLAN_CONFIG)->child(CFG_ENGINE)->child(ENGINE_GRAPH);
    if (!descriptors.count(graph)) return refuse(BAD_PARAM, "the plan's graph was destroyed");
    int status = read_problem(graph->child(GRAPH_OPS), &p);
    if (status != SUCCESS) return status;
    auto workspace = pack->has(PACK_WORKSPACE) ? pack->values.at(PACK_WORKSPACE).at<uint64_t>(0) : 0;
    if (!emulation::is_device(workspace, WORKSPACE)) return refuse(BAD_PARAM, "the workspace is missing or too small");
    auto uids = pack->longs(PACK_UIDS);
    void *at[3] = {};
    const Descriptor *tensors[3] = {p.x, p.w, p.y};
    for (int t = 0; t < 3; t++) {
        for (size_t i = 0; i < uids.size(); i++)
            if (uids[i] == tensors[t]->number(UID)) at[t] = pack->values.at(PACK_POINTERS).at<void *>(i);
        size_t bytes = (size_t)extent(tensors[t]) * emulation::size_of((emulation::Type)tensors[t]->values.at(DATA_TYPE).at<int>(0));
        if (!emulation::is_device((uint64_t)at[t], bytes))
            return refuse(BAD_PARAM, "tensor " + std::to_string(tensors[t]->number(UID)) + " lies outside of device memory");
        if ((uint64_t)at[t] % (uint64_t)tensors[t]->number(ALIGNMENT)) return refuse(2003, "a pointer is not aligned as its tensor says");
    }
    void *x = at[0], *w = at[1], *y = at[2];
    /* What a plan needs is compiled into it: the descriptors may be gone when the work is done. */
    struct Copy { Problem p; Descriptor x, w, y; };
    auto *copy = new Copy{p, *p.x, *p.w, *p.y};
    std::shared_ptr<Copy> kept(copy);
    kept->p.x = &kept->x;
    kept->p.w = &kept->w;
    kept->p.y = &kept->y;
    int driver = emulation::enqueue(handle->stream, [kept, x, w, y] { return convolve(kept->p, x, w, y); });
    return driver == 0 ? SUCCESS : refuse(EXECUTION_FAILED, "the stream gives driver status " + std::to_string(driver));
}
} // namespace
} // namespace cudnn

using namespace cudnn;
#define NEEDS(set, p) \
    LOCKED; \
    last_error.clear(); \
    if (!(set).count(p)) return refuse(BAD_PARAM, "a handle or descriptor that was never made, or was destroyed")

API size_t cudnnGetVersion() { return 92400; }
API size_t cudnnGetCudartVersion() { return 13000; }
API const char *cudnnGetErrorString(int status) {
    switch (status) {
        case SUCCESS: return "CUDNN_STATUS_SUCCESS";
        case 1001: return "CUDNN_STATUS_NOT_INITIALIZED";
        case BAD_PARAM: return "CUDNN_STATUS_BAD_PARAM";
        case NULL_POINTER: return "CUDNN_STATUS_BAD_PARAM_NULL_POINTER";
        case 2003: return "CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER";
        case NOT_FINALIZED: return "CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED";
        case SHAPE_MISMATCH: return "CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH";
        case DUPLICATED: return "CUDNN_STATUS_BAD_PARAM_DUPLICATED_ENTRIES";
        case ATTRIBUTE_TYPE: return "CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE";
        case DESCRIPTOR_TYPE: return "CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE";
        default: return status >= 3000 && status < 4000 ? "CUDNN_STATUS_NOT_SUPPORTED" : "CUDNN_STATUS_EXECUTION_FAILED";
    }
}
API void cudnnGetLastErrorString(char *text, size_t most) {
    if (most == 0) return;
    strncpy(text, last_error.c_str(), most - 1);
    text[most - 1] = 0;
}
API int cudnnCreate(void **handle) {
    LOCKED;
    if (!emulation::has_context()) return refuse(1001, "the calling thread has no context");
    auto *h = new Handle();
    handles.insert(h);
    *handle = h;
    return SUCCESS;
}
API int cudnnDestroy(void *handle) {
    NEEDS(handles, (Handle *)handle);
    handles.erase((Handle *)handle);
    delete (Handle *)handle;
    return SUCCESS;
}
API int cudnnSetStream(void *handle, void *stream) {
    NEEDS(handles, (Handle *)handle);
    ((Handle *)handle)->stream = stream;
    return SUCCESS;
}
API int cudnnBackendCreateDescriptor(int kind, void **descriptor) {
    LOCKED;
    last_error.clear();
    bool known = false;
    for (const Rule &r : RULES) known |= r.kind == kind;
    if (!known) return refuse(NOT_SUPPORTED, "descriptor " + std::to_string(kind) + " is not emulated");
    if (!descriptor) return refuse(NULL_POINTER, "no room for the descriptor");
    auto *d = new Descriptor{kind, false, {}};
    descriptors.insert(d);
    *descriptor = d;
    return SUCCESS;
}
API int cudnnBackendDestroyDescriptor(void *descriptor) {
    NEEDS(descriptors, (Descriptor *)descriptor);
    descriptors.erase((Descriptor *)descriptor);
    delete (Descriptor *)descriptor;
    return SUCCESS;
}
API int cudnnBackendFinalize(void *descriptor) {
    NEEDS(descriptors, (Descriptor *)descriptor);
    auto *d = (Descriptor *)descriptor;
    if (d->finished) return refuse(BAD_PARAM, "finalized twice");
    int status = finish(d);
    d->finished = status == SUCCESS;
    return status;
}
API int cudnnBackendSetAttribute(void *descriptor, int attribute, int type, int64_t count, const void *elements) {
    NEEDS(descriptors, (Descriptor *)descriptor);
    auto *d = (Descriptor *)descriptor;
    if (d->finished) return refuse(BAD_PARAM, "set after finalize");
    if (!elements || count < 1) return refuse(NULL_POINTER, "no elements");
    const Rule *r = rule_of(d->kind, attribute);
    if (!r) return refuse(BAD_PARAM, "descriptor " + std::to_string(d->kind) + " has no attribute " + std::to_string(attribute));
    if (r->type != type) return refuse(ATTRIBUTE_TYPE, std::string(r->name) + " has another type");
    if (r->count != 0 && r->count != count) return refuse(BAD_PARAM, std::string(r->name) + " is one element");
    put(d, attribute, type, (size_t)count, elements);
    return SUCCESS;
}
API int cudnnBackendGetAttribute(void *descriptor, int attribute, int type, int64_t most, int64_t *count, void *elements) {
    NEEDS(descriptors, (Descriptor *)descriptor);
    auto *d = (Descriptor *)descriptor;
    if (!d->finished) return refuse(NOT_FINALIZED, "read before finalize");
    if (!count) return refuse(NULL_POINTER, "no room for the count");
    if (d->kind == ENGINEHEUR && attribute == HEUR_RESULTS)
        return type == T_DESCRIPTOR ? give_results(d, most, count, elements) : refuse(ATTRIBUTE_TYPE, "results are descriptors");
    if (d->kind == PLAN && attribute == PLAN_WORKSPACE) {
        if (type != T_INT64) return refuse(ATTRIBUTE_TYPE, "the workspace's size is an int64");
        *count = 1;
        *(int64_t *)elements = WORKSPACE;
        return SUCCESS;
    }
    if (d->kind == ENGINE && (attribute == ENGINE_NOTES || attribute == ENGINE_BEHAVIOR)) {
        *count = 0;
        return SUCCESS;
    }
    auto it = d->values.find(attribute);
    if (it == d->values.end()) return refuse(BAD_PARAM, "no attribute " + std::to_string(attribute));
    if (it->second.type != type) return refuse(ATTRIBUTE_TYPE, name_of(d, attribute) + " has another type");
    *count = (int64_t)it->second.count;
    size_t n = it->second.count < (size_t)most ? it->second.count : (size_t)most;
    if (type == T_DESCRIPTOR && n > 0) { /* the caller's descriptor becomes a copy */
        auto *to = *(Descriptor **)elements;
        auto *from = it->second.at<Descriptor *>(0);
        if (!descriptors.count(to) || to->kind != from->kind) return refuse(DESCRIPTOR_TYPE, "a descriptor of the same kind is filled");
        *to = *from;
        return SUCCESS;
    }
    memcpy(elements, it->second.bytes.data(), n * bytes_of(type));
    return SUCCESS;
}
API int cudnnBackendExecute(void *handle, void *plan, void *pack) {
    NEEDS(handles, (Handle *)handle);
    if (!is_live((Descriptor *)plan, PLAN) || !is_live((Descriptor *)pack, PACK)) return refuse(DESCRIPTOR_TYPE, "no plan or no variant pack");
    if (!((Descriptor *)plan)->finished || !((Descriptor *)pack)->finished) return refuse(NOT_FINALIZED, "plan or variant pack");
    return execute((Handle *)handle, (Descriptor *)plan, (Descriptor *)pack);
}
