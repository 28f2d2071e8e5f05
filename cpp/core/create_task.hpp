#pragma once
// loop.create_task(): an asyncio.Task, made without a Python frame.
//
// It does what asyncio's own method does when there is no task factory, debug mode is off and nobody has
// replaced that method; else it calls it. Servers make a task for each request, gather() one for each
// coroutine: 6 % of the instructions of gather() went into that frame.
#include <Python.h>

#include <vector>

namespace veloop::core {

// `create_task` and the attribute `_task_factory`, for the Loop type.
const std::vector<PyMethodDef>& task_methods();
extern PyGetSetDef kTaskFactory;

}  // namespace veloop::core
